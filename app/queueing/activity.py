"""What a worker process is doing: the messages that run, and how those before them ended."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from dramatiq import Broker, Middleware

from app.queueing.errors import Continue

# A thread that Python can interrupt has left within this many seconds after the time limit.
INTERRUPTED_WITHIN = 10.0


@dataclass(frozen=True)
class Running:
    """A message on one of the threads; `since` and `limit` are seconds, the first one of time.monotonic()."""

    message_id: str
    actor: str
    since: float
    limit: float

    @property
    def seconds(self) -> float:
        """How long it runs by now."""
        return time.monotonic() - self.since

    @property
    def stuck(self) -> bool:
        """Whether its thread did not even react to the interruption at its time limit."""
        return self.seconds > self.limit + INTERRUPTED_WITHIN


class Activity(Middleware):
    """Notes each message's beginning and end. `time_limit`: seconds of a message whose actor has none of its own."""

    def __init__(self, *, time_limit: float) -> None:
        self._time_limit_ms = time_limit * 1000
        self._running: dict[int, Running] = {}
        self._lock = threading.Lock()
        self.ended = 0
        self.failures_in_a_row = 0

    def running(self) -> list[Running]:
        """The messages that run now."""
        with self._lock:
            return list(self._running.values())

    def current(self) -> Running | None:
        """The message that runs on the calling thread."""
        with self._lock:
            return self._running.get(threading.get_ident())

    def before_process_message(self, broker: Broker, message: Any) -> None:
        actor = broker.get_actor(message.actor_name)
        limit = message.options.get("time_limit") or actor.options.get("time_limit", self._time_limit_ms)
        running = Running(message.message_id, message.actor_name, time.monotonic(), limit / 1000)
        with self._lock:
            self._running[threading.get_ident()] = running

    def after_process_message(
        self, broker: Broker, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        with self._lock:
            self._running.pop(threading.get_ident(), None)
            self.ended += 1
            self.failures_in_a_row = self.failures_in_a_row + 1 if _is_failure(exception) else 0

    def count_unrun(self) -> None:
        """Counts a message that ended without an actor: nobody can read it, or knows its actor."""
        with self._lock:
            self.ended += 1

    def after_skip_message(self, broker: Broker, message: Any) -> None:
        self.after_process_message(broker, message)


def _is_failure(exception: BaseException | None) -> bool:
    return exception is not None and not isinstance(exception, Continue)
