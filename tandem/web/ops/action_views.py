"""The routes that do something, and the form for sending."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, make_response, redirect, request

from tandem.broker import keys
from tandem.operate import action_log, control
from tandem.support.formatting import counted
from tandem.web.auth import own_tokens
from tandem.web.ops import actions, pages, sending
from tandem.web.ops.access import PATH, Access
from tandem.web.ops.actions import ACTIONS, Done, Refused
from tandem.web.ops.desk import Ops
from tandem.web.ops.formats import safe
from tandem.web.ops.guard import SAID
from tandem.web.ops.render import destination, page, refused, visitor

logger = logging.getLogger(__name__)


def register(routes: Blueprint, ops: Ops, access: Access) -> None:
    """Add them."""
    _add_doing(routes, ops, access)
    _add_sending(routes, ops, access)


def _add_doing(routes: Blueprint, ops: Ops, access: Access) -> None:
    @routes.post("/do")
    @own_tokens
    def do() -> Response:
        form = request.form.to_dict()
        name = form.get("action", "")
        action = ACTIONS.get(name)
        if action is None:
            return refused("There is no such action.", 404)
        if refusal := _refusal():
            return refusal
        if action.question and form.get("confirmed") != "yes":
            return page("confirm.html", 200, question=_question(ops, action.question, form), form=form)
        return _acted(ops, access, name, lambda: action.run(ops.desk, form))


def _add_sending(routes: Blueprint, ops: Ops, access: Access) -> None:
    @routes.get("/send")
    @own_tokens
    def send_form() -> Response:
        return _send_page(ops, request.args.get("actor", ""), 200, {})

    @routes.post("/send")
    @own_tokens
    def send() -> Response:
        form = request.form.to_dict()
        actor = ops.broker.actors.get(form.get("actor", ""))
        if refusal := _refusal():
            return refusal
        if actor is None:
            return refused("There is no such actor.", 404)
        try:
            return _acted(ops, access, "send", lambda: sending.send(actor, form), raising=True)
        except Refused as reason:
            return _send_page(ops, actor.actor_name, reason.status, form, str(reason))


def _refusal() -> Response | None:
    """Return what somebody reads who may only look."""
    who = visitor()
    if who is not None and who.may_act:
        return None
    return refused("This token is for looking only: sign in with the OPS_TOKEN to change something.", 403)


def _acted(ops: Ops, access: Access, name: str, act: Callable[[], Done], *, raising: bool = False) -> Response:
    """Do something, note it, and lead back to the page that it came from, which shows what was done."""
    try:
        done = act()
    except Refused as reason:
        if raising:
            raise
        return refused(str(reason), reason.status)
    who, about = visitor(), safe(done.about)
    by = who.name if who else ""
    logger.info("%s by %s: %s (%d)", name, by, about, done.count)
    action_log.note(ops.broker.client, name, about, done.count, who=by)
    answer = make_response(redirect(destination("back"), 303))
    answer.set_cookie(SAID, access.seal(done.sentence), max_age=60, path=PATH, httponly=True, samesite="Strict")
    return answer


def _question(ops: Ops, question: str, form: Mapping[str, str]) -> str:
    """Return what is asked before an action: with the number of messages that will be gone."""
    if "{0}" not in question:
        return question
    if form.get("action") == "purge":
        return question.format(_waiting(ops, form.get("queue", "")))
    if form.get("action") == "cancel-all":
        actions.waiting_filter_of(form)
    wanted = actions.filter_of(form)
    if wanted.state == "failed":
        number, is_whole = pages.failed_total(ops.desk.messages, ops.broker, wanted)
    else:
        number, is_whole = sum(len(ids) for _, ids in ops.desk.messages.waiting_ids(wanted)), True
    what = counted(number, "failed message" if wanted.state == "failed" else "message")
    return question.format(what if is_whole else f"{what} or more")


def _waiting(ops: Ops, queue: str) -> str:
    """Return what a purge of a queue would remove, in words."""
    with ops.broker.client.pipeline(transaction=True) as pipe:
        pipe.llen(keys.ready(queue))
        pipe.zcard(keys.parked(queue))
        pipe.zcard(keys.delayed(queue))
        number = sum(pipe.execute())
    return f"{counted(number, 'message')} that wait{'s' if number == 1 else ''} in {safe(queue)}"


def _send_page(ops: Ops, name: str, status: int, form: Mapping[str, str], wrong: str = "") -> Response:
    actor = ops.broker.actors.get(name)
    paused = control.paused(ops.broker.client)
    return page(
        "send.html",
        status,
        actors=sorted(ops.broker.actors),
        actor=actor,
        fields=sending.fields(actor) if actor else [],
        form=form,
        wrong=wrong,
        is_paused=bool(actor and actor.queue_name in paused),
    )
