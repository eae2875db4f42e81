"""The connections of this process to the database of DATABASE_URL."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import InvalidatePoolError

from tandem import logs
from tandem.config.settings import Settings
from tandem.sql import errors
from tandem.sql.settings import SqlSettings

CONNECT_SECONDS = 5
# A connection is not used for longer than this; load balancers and databases cut older ones (seconds).
MAX_AGE_SECONDS = 1800
# A connection that was idle for longer is asked whether it still lives; at each use that would be a round trip more for
# each message (seconds).
PING_AFTER_SECONDS = 0.1
# How long a thread waits for a connection of the pool: there are two for each, so it only waits where code takes more.
POOL_SECONDS = 10


@cache
def engine() -> Engine:
    """Return this process's engine, with a connection for each of its threads. It connects at the first use."""
    made = make_engine(_threads(Settings.current()))
    # A fork must not use the connections of its parent, and must not close them either.
    os.register_at_fork(after_in_child=lambda: made.dispose(close=False))
    return made


@cache
def relay_engine() -> Engine:
    """Return the engine of the outbox, with one connection.

    PostgreSQL need not wait for the disk there: a row whose deletion is lost is deleted again, and its message is not
    sent a second time.
    """
    made = make_engine(1, durable=False)
    os.register_at_fork(after_in_child=lambda: made.dispose(close=False))
    return made


def dispose() -> None:
    """Close the connections of this process, and forget its settings."""
    for made in (engine, relay_engine):
        if made.cache_info().currsize:
            made().dispose()
        made.cache_clear()


def _threads(config: Settings) -> int:
    return {"web": config.web_threads}.get(logs.process_name(), config.worker_threads)


def make_engine(connections: int, *, durable: bool = True) -> Engine:
    """Return an engine with at most so many connections, set up as the settings say."""
    chosen = SqlSettings.current()
    url = chosen.url
    options: dict[str, Any] = {}
    if chosen.database_isolation and url.get_backend_name() != "sqlite":
        options["isolation_level"] = chosen.database_isolation
    made = create_engine(
        url,
        connect_args=_CONNECT[url.get_backend_name()](chosen, durable),
        pool_size=connections,
        # For code that has a transaction of its own inside that of its message.
        max_overflow=connections,
        pool_recycle=MAX_AGE_SECONDS,
        pool_timeout=POOL_SECONDS,
        # Values of rows are nobody's business in a log.
        hide_parameters=True,
        **options,
    )
    errors.shorten(made)
    _ping_idle(made)
    if url.get_backend_name() == "sqlite":
        _set_up_sqlite(made, chosen)
    return made


def _postgresql(chosen: SqlSettings, durable: bool) -> dict[str, Any]:
    variables = {
        "statement_timeout": f"{chosen.database_statement_timeout}s",
        "lock_timeout": f"{chosen.database_lock_timeout}s",
        **({} if durable else {"synchronous_commit": "off"}),
    }
    return {
        "application_name": _application_name(),
        "connect_timeout": CONNECT_SECONDS,
        "options": " ".join(f"-c {name}={value}" for name, value in variables.items()),
        # A host that has gone away without a word is noticed within half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }


def _mysql(chosen: SqlSettings, _durable: bool) -> dict[str, Any]:
    return {
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": chosen.database_statement_timeout + CONNECT_SECONDS,
        "write_timeout": chosen.database_statement_timeout + CONNECT_SECONDS,
        "program_name": _application_name(),
        # Without STRICT a value that is too long would be cut in silence.
        "init_command": (
            "SET SESSION sql_mode='TRADITIONAL', SESSION time_zone='+00:00', "
            f"SESSION innodb_lock_wait_timeout={chosen.database_lock_timeout}"
        ),
    }


def _sqlite(chosen: SqlSettings, _durable: bool) -> dict[str, Any]:
    return {"timeout": chosen.database_lock_timeout, "check_same_thread": False}


_CONNECT: dict[str, Callable[[SqlSettings, bool], dict[str, Any]]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
    "sqlite": _sqlite,
}


def _ping_idle(made: Engine) -> None:
    """Replace connections that have died while they were idle, as `pool_pre_ping` does for all."""

    def checked_in(_connection: object, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def checked_out(connection: Any, record: Any, _proxy: object) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < PING_AFTER_SECONDS:
            return
        dialect = made.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(made, "checkin", checked_in)
    event.listen(made, "checkout", checked_out)


def _application_name() -> str:
    return f"{Settings.current().app_name} {logs.process_name()}"[:60]


def _set_up_sqlite(made: Engine, chosen: SqlSettings) -> None:
    """Make SQLite behave as a server: see https://docs.sqlalchemy.org/en/20/dialects/sqlite.html (transactions)."""

    def connected(connection: Any, _record: object) -> None:
        # sqlite3 would begin transactions at the first change only.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", f"busy_timeout={chosen.database_lock_timeout * 1000}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        # The right to write is asked for at the beginning: one that has read can otherwise not get it any more.
        reads_only = connection.get_execution_options().get("reads_only")
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    def invalidated(connection: Any, _record: object, _error: object) -> None:
        # A statement that was interrupted keeps a closed connection alive, with its locks, until the garbage collector
        # comes.
        connection.rollback()

    event.listen(made, "invalidate", invalidated)
    event.listen(made, "connect", connected)
    event.listen(made, "begin", begin)


def shown(url: URL) -> str:
    """Return a URL without user and password, for people."""
    return URL.create(url.get_backend_name(), None, None, url.host, url.port, url.database).render_as_string()
