"""A transaction for each request, and what clients are told about errors of the database."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from tandem.sql.errors import DatabaseUnavailable, brief, is_conflict
from tandem.sql.unit_of_work import request_unit

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
_SAFE = ("GET", "HEAD", "OPTIONS")


Problem = Callable[[int, str, str], Response]


def register(app: Flask, problem: Problem) -> None:
    """Run each view in a transaction; `problem(status, title, detail)` makes an answer."""
    dispatch = app.dispatch_request

    def dispatch_in_transaction() -> ResponseReturnValue:
        # It commits before the answer is sent, so that a client that has it finds what it has stored.
        with request_unit(reads_only=request.method in _SAFE):
            return dispatch()

    app.dispatch_request = dispatch_in_transaction  # type: ignore[method-assign]
    app.register_error_handler(DatabaseUnavailable, partial(_unavailable, problem))
    app.register_error_handler(DBAPIError, partial(_failed, problem))


def _unavailable(problem: Problem, error: DatabaseUnavailable) -> Response:
    logger.warning("%s %s: %s", request.method, request.path, error)
    return _later(problem, "the database does not answer: try again soon")


def _failed(problem: Problem, error: DBAPIError) -> Response:
    logger.warning("%s %s: %s", request.method, request.path, brief(error), exc_info=error)
    if isinstance(error, IntegrityError):
        return problem(409, "Conflict", "this conflicts with what is stored")
    if isinstance(error, DataError):
        return problem(422, "Unprocessable Entity", "a value does not fit: it is too long or of another type")
    if is_conflict(error):
        return _later(problem, "another change was in the way: try again")
    if isinstance(error, OperationalError):
        return _later(problem, "the database refused this for now: try again soon")
    return problem(500, "Internal Server Error", "internal error: see the server's log")


def _later(problem: Problem, detail: str) -> Response:
    made = problem(503, "Service Unavailable", detail)
    made.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return made
