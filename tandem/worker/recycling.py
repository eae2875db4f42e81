"""The limits after which a worker stops, so that a fresh process replaces it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tandem.broker.in_flight import InFlight
from tandem.config.values import MIB

# A worker's own time limit is up to this share shorter, so that workers that start together stop at different times.
JITTER = 0.1
# A worker that exceeds the memory limit this many times over does not wait for its messages.
HARD_MEMORY_FACTOR = 2


@dataclass(frozen=True)
class Limits:
    """0 means no limit. `time`: seconds; `memory`: resident bytes; `messages`; `failures` in a row."""

    time: int = 0
    memory: int = 0
    messages: int = 0
    failures: int = 0

    def __str__(self) -> str:
        """The text of the log line at the start."""
        parts = [
            f"after {self.time} s" if self.time else "",
            f"at {self.memory / MIB:.0f} MiB" if self.memory else "",
            f"after {self.messages} messages" if self.messages else "",
            f"after {self.failures} failures in a row" if self.failures else "",
        ]
        return ", ".join(part for part in parts if part) or "only when asked to"


class RecyclePolicy:
    """Compares one worker with its limits. `memory` gives resident bytes."""

    def __init__(self, limits: Limits, in_flight: InFlight, memory: Callable[[], int]) -> None:
        self._limits = limits
        self._in_flight = in_flight
        self._memory = memory
        self._started = time.monotonic()
        # Spreads the restarts of workers; not a secret.
        self._time = limits.time * random.uniform(1 - JITTER, 1)  # noqa: S311

    def reached(self) -> str | None:
        """Return the time or the failure limit with its figure if it is reached, or None."""
        return next(self._reached(), None)

    def urgent(self) -> str | None:
        """Return the memory or the message limit if it is reached: running on would achieve nothing."""
        return self.memory_reached() or self.messages_reached()

    def messages_reached(self) -> str | None:
        """Return the message limit with its figure if it is reached, or None."""
        limit, ended = self._limits.messages, self._in_flight.ended
        return f"message limit: {ended} of {limit} messages" if limit and ended >= limit else None

    def memory_reached(self) -> str | None:
        """Return the memory limit with its figure if it is reached, or None."""
        limit, memory = self._limits.memory, self._memory()
        return f"memory limit: {memory / MIB:.0f} of {limit / MIB:.0f} MiB" if limit and memory >= limit else None

    def over_hard_limit(self) -> str | None:
        """Return the hard memory limit with its figure if it is exceeded, or None; then no message is waited for."""
        hard, memory = self._limits.memory * HARD_MEMORY_FACTOR, self._memory()
        return f"memory {memory / MIB:.0f} of at most {hard / MIB:.0f} MiB" if hard and memory > hard else None

    def _reached(self) -> Iterator[str]:
        limits, seconds = self._limits, time.monotonic() - self._started
        if limits.time and seconds >= self._time:
            yield f"time limit: {seconds:.1f} of {limits.time} s"
        if limits.failures and self._in_flight.most_failures_in_a_row >= limits.failures:
            yield f"failure limit: {self._in_flight.most_failures_in_a_row} of {limits.failures} failures in a row"
