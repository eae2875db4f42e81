"""After what a worker leaves, so that a fresh process takes its place."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.queueing.activity import Activity

MIB = 2**20
# A worker's own time limit is up to this part shorter, so that workers that start together leave apart.
JITTER = 0.1
# A message that makes its worker grow to this many times the memory limit is not waited for.
HARD_MEMORY_FACTOR = 2
_PAGE_SIZE = 4096


@dataclass(frozen=True)
class Limits:
    """0 means no limit. `time`: seconds; `memory`: resident bytes; `messages`; `failures` in a row."""

    time: int = 0
    memory: int = 0
    messages: int = 0
    failures: int = 0

    def __str__(self) -> str:
        """What is said at the start."""
        parts = [
            f"after {self.time} s" if self.time else "",
            f"at {self.memory / MIB:.0f} MiB" if self.memory else "",
            f"after {self.messages} messages" if self.messages else "",
            f"after {self.failures} failures in a row" if self.failures else "",
        ]
        return ", ".join(part for part in parts if part) or "only when told to"


class Watch:
    """Compares one worker with its limits. `memory` gives resident bytes."""

    def __init__(self, limits: Limits, activity: Activity, memory: Callable[[], int]) -> None:
        self._limits = limits
        self._activity = activity
        self._memory = memory
        self._started = time.monotonic()
        # Spreads the leaving of workers; not a secret.
        self._time = limits.time * random.uniform(1 - JITTER, 1)  # noqa: S311

    def reached(self) -> str | None:
        """The time or the failure limit if it is reached, with its figure, or None."""
        return next(self._reached(), None)

    def urgent(self) -> str | None:
        """The memory or the message limit if it is reached: a worker gains nothing by staying."""
        return self.memory_reached() or self.messages_reached()

    def messages_reached(self) -> str | None:
        """The message limit with its figure if it is reached, or None."""
        limit, ended = self._limits.messages, self._activity.ended
        return f"message limit: {ended} of {limit} messages" if limit and ended >= limit else None

    def memory_reached(self) -> str | None:
        """The memory limit with its figure if it is reached, or None."""
        limit, memory = self._limits.memory, self._memory()
        return f"memory limit: {memory / MIB:.0f} of {limit / MIB:.0f} MiB" if limit and memory >= limit else None

    def runaway(self) -> str | None:
        """Says so when the memory is beyond what any message is waited for."""
        hard, memory = self._limits.memory * HARD_MEMORY_FACTOR, self._memory()
        return f"memory {memory / MIB:.0f} of at most {hard / MIB:.0f} MiB" if hard and memory > hard else None

    def _reached(self) -> Iterator[str]:
        limits, seconds = self._limits, time.monotonic() - self._started
        if limits.time and seconds >= self._time:
            yield f"time limit: {seconds:.1f} of {limits.time} s"
        if limits.failures and self._activity.failures_in_a_row >= limits.failures:
            yield f"failure limit: {self._activity.failures_in_a_row} of {limits.failures} failures in a row"


def resident_memory() -> int:
    """Resident bytes of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_SIZE
