"""Lets in those who are signed in, signs them in and out, and shows everybody why a page cannot be shown."""

from __future__ import annotations

import logging
from typing import Any

import redis
from flask import Blueprint, Response, g, make_response, redirect, request

from tandem.config.settings import Settings
from tandem.operate.messages import STATES, InvalidFilter
from tandem.web.auth import LOCKED_OUT, MISSING, RIGHT, own_tokens
from tandem.web.auth import refusal as refused_token
from tandem.web.ops.access import PATH, Access
from tandem.web.ops.render import as_sentence, bulk_command, destination, filter_query, page, visitor
from tandem.web.throttle import RETRY_AFTER_SECONDS

logger = logging.getLogger(__name__)

#: The cookie with the sentence about what was just done.
SAID = "tandem-ops-said"
_OPEN_TO_ALL = {"ops.login", "ops.sign_in", "ops.static"}
_AWAY = "Redis does not answer, so nothing can be shown or done now. This page tries again by itself."


def register(routes: Blueprint, settings: Settings, access: Access) -> None:
    """Add the guard, the pages for signing in, and those about troubles."""
    _require_visitor(routes, access)
    _explain_troubles(routes, settings, access)
    _forget_sentences(routes)
    _add_sign_in(routes, access)


def _require_visitor(routes: Blueprint, access: Access) -> None:
    @routes.before_request
    def require_visitor() -> Response | None:
        if request.endpoint == "ops.static":
            return None
        if not access.is_open:
            return page("closed.html", 404)
        if request.endpoint in _OPEN_TO_ALL:
            return None
        found, refused = access.visitor()
        if found is None:
            if refused != MISSING:
                return refused_token(refused, "OPS_TOKEN")
            return page("login.html", 401, wrong="", next=destination())
        g.ops_visitor = found
        return None


def _explain_troubles(routes: Blueprint, settings: Settings, access: Access) -> None:
    @routes.context_processor
    def common() -> dict[str, Any]:
        return {
            "app_name": settings.app_name,
            "visitor": visitor(),
            "states": STATES,
            "said": access.unseal(request.cookies.get(SAID, "")),
            "query": filter_query,
            "bulk_command": bulk_command,
        }

    @routes.errorhandler(redis.RedisError)
    def away(error: redis.RedisError) -> Response:
        logger.warning("the operations page shows nothing: %s", error)
        if isinstance(error, redis.exceptions.OutOfMemoryError):
            return page("refused.html", 503, sentence="Nothing was done: the memory of Redis is full.")
        if isinstance(error, redis.ResponseError):
            return page("refused.html", 503, sentence=f"Nothing was done: Redis refused a command: {error}.")
        return page("away.html", 503, sentence=_AWAY)

    @routes.errorhandler(InvalidFilter)
    def invalid(error: InvalidFilter) -> Response:
        return page("refused.html", 422, sentence=as_sentence(str(error)))


def _forget_sentences(routes: Blueprint) -> None:
    @routes.after_request
    def forget_sentence(response: Response) -> Response:
        if SAID in request.cookies and request.method == "GET" and response.status_code == 200:
            response.delete_cookie(SAID, path=PATH)
        return response


def _add_sign_in(routes: Blueprint, access: Access) -> None:
    @routes.get("/login")
    @own_tokens
    def login() -> Response:
        return page("login.html", 200, wrong="", next=destination())

    @routes.post("/login")
    @own_tokens
    def sign_in() -> Response:
        result, name = access.sign_in(request.form.get("token", ""))
        if result == RIGHT:
            answer = make_response(redirect(destination(), 303))
            access.remember(answer, name)
            return answer
        if result == LOCKED_OUT:
            wrong = f"Too many wrong tokens came from this address: try again in {RETRY_AFTER_SECONDS} seconds."
            locked = page("login.html", 429, wrong=wrong, next=destination())
            locked.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return locked
        wrong = "This is neither the OPS_TOKEN nor the OPS_READ_TOKEN. They are in the file .env of the server."
        return page("login.html", 401, wrong=wrong, next=destination())

    @routes.post("/logout")
    @own_tokens
    def sign_out() -> Response:
        answer = make_response(redirect(f"{PATH}/login", 303))
        access.forget(answer)
        return answer
