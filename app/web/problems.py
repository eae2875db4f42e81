"""Every error as RFC 9457 `application/problem+json`: what is wrong, and what is allowed."""

from __future__ import annotations

import json
import logging

import redis
from dramatiq.errors import BrokerConnectionError
from flask import Flask, Response, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    RequestTimeout,
)

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
_BROKEN_OFF = "the body broke off before its end: send it again"


def register(app: Flask) -> None:
    """Turns errors of every route into problem documents."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(redis.RedisError, _queue_away)
    app.register_error_handler(BrokerConnectionError, _queue_away)
    app.register_error_handler(ParseException, _malformed_body)
    app.register_error_handler(Exception, _bug)


def problem(status: int, title: str, detail: str) -> Response:
    """A problem document; `type` is left out, which means about:blank."""
    body = json.dumps({"title": title, "status": status, "detail": detail}, ensure_ascii=False)
    return Response(body, status, mimetype="application/problem+json")


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, ClientDisconnected):
        slow = isinstance(error.__context__, TimeoutError)
        error = RequestTimeout("the body came too slowly: send it faster") if slow else BadRequest(_BROKEN_OFF)
    response = problem(error.code or 500, error.name, _detail(error))
    # Only what the error itself adds, such as Allow: the content type is ours.
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _detail(error: HTTPException) -> str:
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{request.method} is not allowed here: {allowed} are"
    if isinstance(error, RequestEntityTooLarge) and error.description == RequestEntityTooLarge.description:
        return f"the body is too large: at most {request.max_content_length:,} bytes are allowed"
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return f"there is nothing at {request.path}"
    return error.description or error.name


def _malformed_body(error: ParseException) -> Response:
    logger.debug("a body cannot be read: %s", error)
    return problem(400, "Bad Request", "the body is not chunked as RFC 9112 has it")


def _queue_away(error: Exception) -> Response:
    logger.warning("the queue did not take it: %s", error)
    full = isinstance(error.__cause__ or error, redis.exceptions.OutOfMemoryError)
    reason = "the queue's memory is full" if full else "the queue does not answer"
    response = problem(503, "Service Unavailable", f"{reason}: try again soon")
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _bug(error: Exception) -> Response:
    logger.exception("%s %s broke", request.method, request.path, exc_info=error)
    return problem(500, "Internal Server Error", "the server made a mistake; it is in its log")
