"""The pages for looking."""

from __future__ import annotations

import shlex
from urllib.parse import parse_qsl

from flask import Blueprint, Response, request

from tandem.operate import action_log
from tandem.sse import respond
from tandem.web.auth import own_tokens
from tandem.web.ops import actions, live, pages
from tandem.web.ops.desk import Ops
from tandem.web.ops.formats import safe
from tandem.web.ops.render import page, visitor

#: The header of requests by which open pages bring themselves up to date (static/ops.js).
LIVE = "Tandem-Live"


def register(routes: Blueprint, ops: Ops) -> None:
    """Add them."""
    _add_messages(routes, ops)
    _add_others(routes, ops)


def _add_messages(routes: Blueprint, ops: Ops) -> None:
    @routes.get("")
    @own_tokens
    def start() -> Response:
        return page("overview.html", 200, overview=ops.overview(), schedules=ops.described_schedules())

    @routes.get("/messages")
    @own_tokens
    def messages() -> Response:
        who = visitor()
        # Whoever only looks could guess hidden arguments by searching for them.
        ids_only = who is None or not who.may_act
        wanted, found = actions.filter_of(request.args, ids_only=ids_only), ops.desk.messages
        listed = pages.listing(found, ops.broker, wanted, request.args.get("after", ""))
        return page(
            "messages.html",
            200,
            wanted=wanted,
            listing=listed,
            queues=found.queues(),
            actors=sorted(ops.broker.actors),
            until=f"{listed.now * 1000:.0f}",
            command=f"queue messages {actions.described(wanted)}",
        )

    @routes.get("/message")
    @own_tokens
    def message() -> Response:
        id_, found = _id_in_query(), ops.desk.messages
        places = found.find(id_)
        if not places:
            sentence = (
                f"No message has the id {safe(id_[:100])}: it has ended, and is not among the last that are kept."
            )
            return page("refused.html", 404, sentence=sentence)
        with_arguments = request.args.get("arguments") == "show"
        # A page that is only brought up to date keeps its log.
        with_logs = LIVE not in request.headers
        details = [
            pages.detail(found, ops.broker, ops.settings, one, with_arguments=with_arguments, with_logs=with_logs)
            for one in places
        ]
        return page("message.html", 200, details=details, now=found.now(), shell=shlex.quote(safe(id_)))


def _add_others(routes: Blueprint, ops: Ops) -> None:
    @routes.get("/failures")
    @own_tokens
    def failures() -> Response:
        found = pages.failures(ops.broker, ops.desk.messages.queues())
        now = ops.desk.messages.now()
        return page("failures.html", 200, failures=found, now=now, until=f"{now * 1000:.0f}")

    @routes.get("/log")
    @own_tokens
    def log() -> Response:
        worker, errors_only = request.args.get("worker", ""), request.args.get("level") == "errors"
        records = pages.log(worker, errors_only=errors_only)
        numbers = pages.worker_numbers()
        return page("log.html", 200, records=records, worker=worker, errors_only=errors_only, numbers=numbers)

    @routes.get("/actions")
    @own_tokens
    def action_log_() -> Response:
        newest = action_log.newest(ops.broker.client)
        return page("actions.html", 200, actions=newest, now=ops.desk.messages.now())

    @routes.get("/events")
    @own_tokens
    def events() -> Response:
        return respond(live.TOPIC, "all", live.tick(ops.desk.messages.now()))


def _id_in_query() -> str:
    """Return the id in the address, which may have any bytes."""
    parts = parse_qsl(request.query_string.decode("latin-1"), errors="surrogateescape")
    return dict(parts).get("id", "")
