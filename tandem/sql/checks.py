"""How the database is, for /readyz, `queue health` and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from tandem.health.checks import Away, Check, Warn
from tandem.sql import migrations, outbox
from tandem.sql.engine import make_engine, shown
from tandem.sql.errors import brief
from tandem.sql.migrations import History

# Messages that wait longer for Redis are worth a warning (seconds).
MAX_AGE_SECONDS = 30.0
_READ_ONLY = {
    "postgresql": "SELECT current_setting('transaction_read_only') = 'on'",
    "mysql": "SELECT @@global.read_only",
    "mariadb": "SELECT @@global.read_only",
}


def make(histories: Sequence[History]) -> list[Check]:
    """Return the checks of the database and of the outbox."""
    # Here and not at the first check, so that all web processes share what it takes.
    import alembic.command  # noqa: F401

    # Connections of their own, so that a check waits for no request.
    connected = make_engine(2)
    return [
        Check("database", partial(_check_database, connected, histories), late=Away("the database does not answer")),
        Check("outbox", partial(_check_outbox, connected), late=Away("the database does not answer")),
    ]


def _check_database(connected: Engine, histories: Sequence[History]) -> str:
    name = shown(connected.url)
    try:
        with connected.connect() as connection:
            _refuse_read_only(connection, name)
            old = migrations.outdated(connection, histories)
            ahead = migrations.ahead(connection, histories)
    except SQLAlchemyError as error:
        raise Away(f"{name} does not answer: {brief(error)}") from error
    if old:
        raise Away(f"the tables of {', '.join(old)} in {name} lack migrations: type queue db upgrade")
    if ahead:
        raise Warn(f"the tables of {', '.join(ahead)} in {name} are of a later version than this image")
    return f"{name}, schema up to date"


def _refuse_read_only(connection: Connection, name: str) -> None:
    question = _READ_ONLY.get(connection.dialect.name)
    if question and connection.scalar(text(question)):
        raise Away(f"{name} is read-only: point DATABASE_URL to the primary")


def _check_outbox(connected: Engine) -> str:
    try:
        with connected.connect() as connection:
            count, age = outbox.depth(connection)
    except SQLAlchemyError as error:
        raise Away(f"it cannot be read: {brief(error)}") from error
    if age > MAX_AGE_SECONDS:
        raise Warn(f"{count} messages wait for Redis, the oldest for {age:.0f} s: is the program outbox running?")
    return f"{count} messages wait for Redis"
