"""Errors of databases: which of them are worth another try at once, and each as one line without values."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError

from tandem.broker.errors import ExpectedError

# SQLSTATE of deadlocks and serialization failures (https://www.postgresql.org/docs/17/errcodes-appendix.html).
_CONFLICT_STATES = {"40001", "40P01"}
# ER_LOCK_DEADLOCK and ER_CHECKREAD (https://mariadb.com/kb/en/mariadb-error-code-reference).
_CONFLICT_NUMBERS = {1213, 1020}
_CONFLICTS_OF_SQLITE = ("database is locked", "database table is locked")


class NoTransaction(RuntimeError):
    """There is neither a running message nor a request on this thread, nor a block of `transaction()`."""


class DatabaseUnavailable(ExpectedError):
    """The database does not answer, or the connection to it was lost. The message is retried, the request gets 503."""


def is_conflict(error: BaseException) -> bool:
    """Return whether the same transaction could succeed at once: a deadlock, or a serialization failure."""
    if not isinstance(error, DBAPIError):
        return False
    original = error.orig
    if getattr(original, "sqlstate", None) in _CONFLICT_STATES:
        return True
    if _number(error) in _CONFLICT_NUMBERS:
        return True
    return any(text in str(original) for text in _CONFLICTS_OF_SQLITE)


def is_lost(error: BaseException) -> bool:
    """Return whether there is no connection, or none any more."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    original = error.orig
    # Drivers raise this at connecting, without a state or number of an error of the server.
    if getattr(original, "sqlstate", "") is None and isinstance(error, OperationalError):
        return True
    # CR_CONNECTION_ERROR, CR_CONN_HOST_ERROR, CR_SERVER_GONE_ERROR, CR_SERVER_LOST
    return _number(error) in {2002, 2003, 2006, 2013}


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether another transaction of PostgreSQL had a lock for too long (lock_not_available)."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == "55P03"


def _number(error: DBAPIError) -> int | None:
    """Return the number of an error of MySQL."""
    arguments: Any = getattr(error.orig, "args", ())
    first = arguments[0] if arguments else None
    return first if isinstance(first, int) else None


def brief(error: BaseException) -> str:
    """Return the first line of a database's own text, which has no values of rows."""
    original = getattr(error, "orig", None) or error
    arguments: list[Any] = list(getattr(original, "args", ()))
    # PyMySQL: number and text.
    text = str(arguments[1]) if len(arguments) == 2 and isinstance(arguments[0], int) else str(original)
    return text.strip().partition("\n")[0] or type(original).__name__


def shorten(engine: Engine) -> None:
    """Make errors of this engine say one line: without the statement, and without details that contain values."""

    def replace(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if isinstance(error, DBAPIError):
            kind: Any = type(error)
            error.__class__ = _shortened(kind)

    event.listen(engine, "handle_error", replace)


@cache
def _shortened(kind: Any) -> Any:
    """Return a subclass with the same name, so that `except IntegrityError` and options such as `throws` work."""

    def text(self: Any) -> str:
        return brief(self)

    return type(kind.__name__, (kind,), {"__str__": text, "__module__": kind.__module__})
