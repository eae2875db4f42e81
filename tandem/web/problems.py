"""Every error as RFC 9457 `application/problem+json`: what is wrong, and what was expected."""

from __future__ import annotations

import json
import logging

import redis
from dramatiq.errors import BrokerConnectionError
from flask import Flask, Response, request
from gunicorn.http.errors import ParseException
from pydantic import ValidationError
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from tandem import runtime
from tandem.broker.idempotency import DiskFull

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
# Fields that an answer names; a long list of bad entries would make a long one.
MAX_INVALID_FIELDS = 10
_INCOMPLETE = "incomplete body: send it again"


def register(app: Flask) -> None:
    """Turn errors of every route into problem documents."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(redis.RedisError, _queue_unavailable)
    app.register_error_handler(BrokerConnectionError, _queue_unavailable)
    app.register_error_handler(ParseException, _malformed_body)
    app.register_error_handler(ValidationError, _invalid_input)
    app.register_error_handler(Exception, _bug)


def problem(status: int, title: str, detail: str) -> Response:
    """Return a problem document; `type` is left out, which means about:blank."""
    body = json.dumps({"title": title, "status": status, "detail": detail}, ensure_ascii=False)
    return Response(body, status, mimetype="application/problem+json")


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, ClientDisconnected):
        error = BadRequest(_INCOMPLETE)
    response = problem(error.code or 500, error.name, _detail(error))
    # Only headers that the error adds, such as Allow: the content type is that of problem documents.
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _detail(error: HTTPException) -> str:
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{request.method} is not allowed here: expected {allowed}"
    if isinstance(error, RequestEntityTooLarge) and error.description == RequestEntityTooLarge.description:
        return _too_large()
    if isinstance(error, BadRequest) and error.description == BadRequest.description:
        return "the body is not valid JSON" if request.is_json else "the request is invalid"
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return f"{request.path} not found"
    return error.description or error.name


def _too_large() -> str:
    limit = request.max_content_length
    if request.content_length and limit and request.content_length <= limit:
        return (
            f"the form has too many parts or too long a field: expected at most {request.max_form_parts} parts, and "
            f"{request.max_form_memory_size:,} bytes in each field"
        )
    return f"the body is too large: expected at most {limit:,} bytes"


def _malformed_body(error: ParseException) -> Response:
    logger.debug("reading a body failed: %s", error)
    return problem(400, "Bad Request", "invalid chunked body: expected the format of RFC 9112")


def _invalid_input(error: ValidationError) -> Response:
    """Name each field and what was expected of it, and never what was given: it may be long or secret."""
    # A view can raise it for a defect of its own, which the log has to show.
    logger.info("%s %s was refused: %d errors in %s", request.method, request.path, error.error_count(), error.title)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    fields = [
        f"{'.'.join(map(str, one['loc'])) or 'body'}: {_expected(one['msg'])}" for one in found[:MAX_INVALID_FIELDS]
    ]
    more = f"; and {len(found) - MAX_INVALID_FIELDS} more" if len(found) > MAX_INVALID_FIELDS else ""
    return problem(422, "Unprocessable Entity", "; ".join(fields) + more)


def _expected(sentence: str) -> str:
    """Return the sentence of a model's own check without the words that pydantic puts before it."""
    return sentence.removeprefix("Value error, ")


def _queue_unavailable(error: Exception) -> Response:
    logger.warning("the queue refused a request: %s", error)
    full = isinstance(error.__cause__ or error, redis.exceptions.OutOfMemoryError)
    reason = "the queue's memory is full" if full else "the queue does not answer"
    if isinstance(error, DiskFull):
        reason = "the queue's disk is nearly full"
    response = problem(503, "Service Unavailable", f"{reason}: try again soon")
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _bug(error: Exception) -> Response:
    logger.exception("%s %s failed", request.method, request.path, exc_info=error)
    if reporter := runtime.get_broker().reporter:
        route = request.url_rule.rule if request.url_rule else "(none)"
        reporter.report_request(error, request.method, route)
    return problem(500, "Internal Server Error", "internal error: see the server's log")
