"""Exponential backoff: growing pauses between retries."""

from __future__ import annotations

import time
from threading import Event


class Backoff:
    """Pauses that double, from `first` to `maximum` seconds."""

    def __init__(self, first: float, maximum: float) -> None:
        self._first = first
        self._maximum = maximum
        self.pause = first

    @property
    def has_grown(self) -> bool:
        """Whether there was a failure since the last reset."""
        return self.pause > self._first

    def reset(self) -> None:
        """Start again with the first pause, after a success."""
        self.pause = self._first

    def wait(self, unless: Event | None = None) -> None:
        """Wait for the pause, at most until `unless` is set; the next one is longer."""
        if unless is None:
            time.sleep(self.pause)
        else:
            unless.wait(self.pause)
        self.grow()

    def grow(self) -> None:
        """Make the next pause longer, for a caller that waits in its own way."""
        self.pause = min(self.pause * 2, self._maximum)
