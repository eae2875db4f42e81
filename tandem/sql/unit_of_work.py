"""A transaction for each message, request or block: begun at the first use, committed at its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.middleware import Middleware, ShutdownNotifications
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tandem.broker.errors import Snooze
from tandem.broker.relayed import Relayed
from tandem.sql import handled, outbox
from tandem.sql.engine import engine
from tandem.sql.errors import DatabaseUnavailable, NoTransaction, brief, is_conflict, is_lost

if TYPE_CHECKING:
    from tandem.broker.broker import Broker

logger = logging.getLogger(__name__)

# How often a message whose transaction met another one is run again at once, inside its attempt.
MAX_CONFLICTS = 3
# Of the running message, request or block. Tasks of asyncio that share a thread have one each.
_current: ContextVar[Unit | None] = ContextVar("unit", default=None)


def session() -> Session:
    """Return the session of the message or request that runs on this thread; its transaction begins at the first use.

    It is committed when the actor or view returns, and rolled back when it raises. Raises NoTransaction elsewhere.
    """
    unit = _running()
    if unit is None:
        raise NoTransaction(
            "session() is for a running message or request, on its own thread: elsewhere, and in an async actor, write "
            "`with transaction() as session:`"
        )
    return unit.session


@contextmanager
def transaction() -> Iterator[Session]:
    """Run a block in a transaction of its own, which commits at its end, and sends the messages of the block then.

    For commands, tests and parts of long work. Raises DatabaseUnavailable, and SQLAlchemy's errors.
    """
    with _unit(Unit()) as unit:
        yield unit.session


def _running() -> Unit | None:
    """Return the transaction of this thread; a task inherits that of the thread which has started it, for nothing."""
    unit = _current.get()
    return unit if unit is not None and unit.thread == threading.get_ident() else None


@contextmanager
def _unit(unit: Unit) -> Iterator[Unit]:
    before = _current.set(unit)
    try:
        yield unit
        unit.commit()
    except BaseException as error:
        unit.roll_back()
        if is_lost(error):
            raise DatabaseUnavailable(f"the database does not answer: {brief(error)}") from error
        raise
    finally:
        _current.reset(before)
        unit.close()


class Unit:
    """One transaction. reads_only: it is expected to change nothing, so it waits for nobody in SQLite."""

    def __init__(self, *, reads_only: bool = False) -> None:
        self.thread = threading.get_ident()
        self._session: Session | None = None
        self._reads_only = reads_only
        self._kept: list[Relayed] = []

    @property
    def session(self) -> Session:
        """The session, begun at the first call."""
        if self._session is None:
            bind = engine().execution_options(reads_only=True) if self._reads_only else engine()
            # What was read stays readable after the commit.
            self._session = Session(bind, expire_on_commit=False)
        return self._session

    @property
    def has_begun(self) -> bool:
        """Whether the session was used."""
        return self._session is not None

    def keep(self, message: Relayed) -> None:
        """Store a message in the outbox of this transaction."""
        outbox.add(self.session, message)
        self._kept.append(message)

    def commit(self) -> None:
        """Commit, if there is something to commit, and send what was kept."""
        if self._session is not None:
            self._session.commit()
            if self._kept:
                try:
                    outbox.relay().sent_with_commit(self._kept)
                except Exception:
                    # What has committed must not count as failed; the program `outbox` sends what is left.
                    logger.exception("messages stay in the outbox for a while")

    def roll_back(self) -> None:
        """Undo everything; a connection in an unclear state is given up."""
        if self._session is not None:
            try:
                self._session.rollback()
            except Exception as error:
                logger.debug("rolling back failed, the connection is given up: %s", brief(error))
                self._session.invalidate()

    def close(self) -> None:
        """Give the connection back."""
        if self._session is not None:
            self._session.close()


class Units:
    """Runs actors in transactions, for a broker. See tandem.broker.relayed.UnitOfWork."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def run(self, actor: dramatiq.Actor[..., Any], message: Any) -> Any:
        """Call the actor in a transaction; again, if that met another one. Raises what the actor raises."""
        conflicts = 0
        while True:
            try:
                return self._run_once(actor, message)
            except DBAPIError as error:
                if not is_conflict(error) or conflicts == MAX_CONFLICTS:
                    raise
                conflicts += 1
                logger.info("another transaction was in the way, trying again at once: %s", brief(error))

    def _run_once(self, actor: dramatiq.Actor[..., Any], message: Any) -> Any:
        once = bool(actor.options.get("once"))
        snoozed: Snooze | None = None
        result = None
        with _unit(Unit()) as unit:
            if once and not handled.note(unit.session, message.message_id):
                logger.info("skipped: this message has ended before, its effects are stored")
                return None
            try:
                result = actor(*message.args, **message.kwargs)
            except Snooze as error:
                # What is done so far stays; the rest continues in another delivery.
                snoozed = error
                if once:
                    handled.forget(unit.session, message.message_id)
            # An interrupt in the middle of the commit would leave open whether it has happened.
            self._end_interrupts()
        if snoozed is not None:
            raise snoozed
        return result

    def _end_interrupts(self) -> None:
        """Let nothing interrupt this thread until the next message; the commit has timeouts of its own."""
        thread = threading.get_ident()
        for part in self._broker.middleware:
            if isinstance(part, dramatiq.middleware.TimeLimit):
                part.manager.remove_timeout(thread)  # type: ignore[no-untyped-call]
            elif isinstance(part, ShutdownNotifications):
                part.manager.remove_notification()

    def keep(self, make: Callable[[], Relayed]) -> bool:
        """Store a message in the outbox if a transaction has begun on this thread; return whether one has."""
        unit = _running()
        if unit is None or not unit.has_begun:
            return False
        unit.keep(make())
        return True


class SqlMiddleware(Middleware):
    """Defines the option `once` of actors, and ends with the worker: what is kept is sent, connections are closed."""

    @property
    def actor_options(self) -> set[str]:
        return {"once"}

    def after_worker_shutdown(self, _broker: object, _worker: object) -> None:
        """Leave no connection behind."""
        from tandem.sql import engine as connections

        outbox.relay().stop()
        connections.dispose()


def request_unit(*, reads_only: bool) -> Any:
    """Return a context manager: the transaction of one request."""
    return _unit(Unit(reads_only=reads_only))
