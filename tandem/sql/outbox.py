"""The outbox: messages are stored in the transaction that sends them, and go to Redis after its commit, each once.

The process that has committed sends them at once, from a thread of its own that takes those of several transactions
together. If it dies before that, the program `outbox` does (see commands.py). Both delete rows and send their messages
in one transaction, so no two of them have the same row; and a message is marked in Redis until its row is gone for
sure, so one that dies in between makes no second message.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

import redis
from dramatiq.errors import BrokerConnectionError
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tandem.broker.relayed import Relayed
from tandem.runtime import get_broker
from tandem.sql.engine import relay_engine
from tandem.sql.errors import brief
from tandem.sql.tables import outbox

logger = logging.getLogger(__name__)

BATCH = 500
# The process that has committed gets this long before the program `outbox` takes its messages (ms).
GRACE_MS = 1000
STOP_SECONDS = 5.0
# From the beginning of a batch to that of the next: what is committed meanwhile goes together, because a batch costs as
# much as many messages. The first after a pause goes at once.
PACE_SECONDS = 0.05
# After an error this process leaves its messages to the program `outbox` for a while: each would be one more attempt.
PAUSE_SECONDS = 2.0
# Without the number of the row, which nobody needs.
_ADD = insert(outbox).inline()


def add(session: Session, message: Relayed) -> None:
    """Store a message in the transaction of a session."""
    # Not by the session: a row of these is nothing that it keeps track of.
    session.connection().execute(_ADD, _row(message))


def _row(message: Relayed) -> dict[str, Any]:
    return {
        "key": message.key,
        "queue": message.queue,
        "message_id": message.id,
        "payload": message.payload,
        "due": message.due,
        "until": message.until,
        "on_duplicate": message.on_duplicate,
        "created_at": round(time.time() * 1000),
    }


class Relay:
    """Sends what transactions of this process have committed. in_background: in a thread of its own."""

    def __init__(self, *, in_background: bool = True) -> None:
        self.in_background = in_background
        self._waiting = SimpleQueue[list[Relayed] | None]()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._troubled_at: float | None = None

    def sent_with_commit(self, messages: list[Relayed]) -> None:
        """Send messages whose rows were committed; never raises, because the program `outbox` sends them otherwise."""
        if not self.in_background or get_broker().binding.inline:
            self._send(messages)
            return
        self._waiting.put(messages)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Send what waits, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join(STOP_SECONDS)

    def _run(self) -> None:
        began = -PACE_SECONDS
        while (messages := self._waiting.get()) is not None:
            batch, last = list(messages), False
            if (early := began + PACE_SECONDS - time.monotonic()) > 0:
                time.sleep(early)
            began = time.monotonic()
            while len(batch) < BATCH:
                try:
                    more = self._waiting.get_nowait()
                except Empty:
                    break
                if more is None:
                    last = True
                    break
                batch += more
            self._send(batch)
            if last:
                return

    def _send(self, messages: Sequence[Relayed]) -> None:
        if self.in_background and self._troubled_at and time.monotonic() - self._troubled_at < PAUSE_SECONDS:
            return
        try:
            with relay_engine().begin() as connection:
                ours = _delete(connection, [message.key for message in messages])
                sent = [message for message in messages if message.key in ours]
                ids = get_broker().send_relayed(sent) if sent else []
            if sent:
                get_broker().after_relayed(sent, ids)
        except (SQLAlchemyError, redis.RedisError, BrokerConnectionError) as error:
            level = logging.WARNING if self._troubled_at is None else logging.DEBUG
            self._troubled_at = time.monotonic()
            logger.log(level, "%d messages stay in the outbox for a while: %s", len(messages), brief(error))
        else:
            self._troubled_at = None


@cache
def relay() -> Relay:
    """Return the relay of this process."""
    return Relay()


def _delete(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Delete rows, and return the keys of those that were still there."""
    chosen = outbox.c.key.in_(keys)
    if connection.dialect.delete_returning:
        return set(connection.execute(delete(outbox).where(chosen).returning(outbox.c.key)).scalars())
    found = set(connection.execute(select(outbox.c.key).where(chosen).with_for_update()).scalars())
    if found:
        connection.execute(delete(outbox).where(outbox.c.key.in_(found)))
    return found


def send_left_over(*, grace_ms: int = GRACE_MS) -> int:
    """Send the oldest messages that their own process has not sent, at most BATCH; return how many.

    Rows that another relay has at the moment are left to it. Raises SQLAlchemyError, redis.RedisError.
    """
    old = outbox.c.created_at <= round(time.time() * 1000) - grace_ms
    query = select(outbox).where(old).order_by(outbox.c.id).limit(BATCH).with_for_update(skip_locked=True)
    with relay_engine().begin() as connection:
        rows = connection.execute(query).all()
        messages = [
            Relayed(row.key, row.queue, row.message_id, bytes(row.payload), row.due, row.until, row.on_duplicate)
            for row in rows
        ]
        if messages:
            ids = get_broker().send_relayed(messages)
            connection.execute(delete(outbox).where(outbox.c.id.in_([row.id for row in rows])))
    if messages:
        get_broker().after_relayed(messages, ids)
    return len(messages)


def depth(connection: Connection) -> tuple[int, float]:
    """Return how many messages are in the outbox, and the seconds since the oldest was stored."""
    count, oldest = connection.execute(select(func.count(), func.min(outbox.c.created_at))).one()
    return count, max(0.0, time.time() - oldest / 1000) if oldest else 0.0
