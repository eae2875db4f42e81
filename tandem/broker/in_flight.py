"""The messages in flight in a worker process, and how many have ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dramatiq import Broker, Middleware

from tandem.broker.errors import Snooze
from tandem.config.settings import MESSAGE_TIME_LIMIT

# A thread that Python can interrupt ends its message within this many seconds after the time limit.
INTERRUPT_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Running:
    """A message on one of the threads; `since` (by time.monotonic()) and `limit` are in seconds.

    queue_id: its id in the queue, which is another one for a unique message.
    """

    message_id: str
    actor: str
    since: float
    limit: float
    queue_id: str = ""

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.since

    @property
    def stuck(self) -> bool:
        """Whether its thread did not react to the interrupt at its time limit."""
        return self.seconds > self.limit + INTERRUPT_GRACE_SECONDS


class InFlight(Middleware):
    """Tracks each message's start and end. `time_limit`: seconds for a message whose actor has none of its own."""

    def __init__(self, *, time_limit: float = MESSAGE_TIME_LIMIT) -> None:
        self.time_limit = time_limit
        self._running: dict[int, Running] = {}
        self._lock = threading.Lock()
        self._on_start: Callable[[], None] | None = None
        self.ended = 0
        self.failures_in_a_row = 0
        # Stays when a message succeeds: who looks at intervals still learns that a limit was reached.
        self.most_failures_in_a_row = 0

    def running(self) -> list[Running]:
        """Return the messages that are running."""
        with self._lock:
            return list(self._running.values())

    def current(self) -> Running | None:
        """Return the message that is running on the calling thread."""
        with self._lock:
            return self._running.get(threading.get_ident())

    def thread_of(self, queue_id: str) -> int | None:
        """Return the thread that runs the message with this id in its queue, if one does."""
        with self._lock:
            return next((thread for thread, one in self._running.items() if one.queue_id == queue_id), None)

    def call_at_next_start(self, callback: Callable[[], None]) -> None:
        """Call this once when a message starts."""
        self._on_start = callback

    def before_process_message(self, broker: Broker, message: Any) -> None:
        actor = broker.get_actor(message.actor_name)
        limit = message.options.get("time_limit") or actor.options.get("time_limit", self.time_limit * 1000)
        queue_id = getattr(message, "queue_id", message.message_id)
        running = Running(message.message_id, message.actor_name, time.monotonic(), limit / 1000, queue_id)
        with self._lock:
            self._running[threading.get_ident()] = running
            # Under the lock, so that of two threads that start at once one calls it.
            callback, self._on_start = self._on_start, None
        if callback:
            callback()

    def after_process_message(
        self, broker: Broker, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        with self._lock:
            self._running.pop(threading.get_ident(), None)
            self.ended += 1
            self.failures_in_a_row = self.failures_in_a_row + 1 if _is_failure(exception) else 0
            self.most_failures_in_a_row = max(self.most_failures_in_a_row, self.failures_in_a_row)

    def count_not_run(self) -> None:
        """Count a message that ended without running: it cannot be decoded, or its actor is unknown."""
        with self._lock:
            self.ended += 1

    def after_skip_message(self, broker: Broker, message: Any) -> None:
        self.after_process_message(broker, message)


def _is_failure(exception: BaseException | None) -> bool:
    return exception is not None and not isinstance(exception, Snooze)
