"""A clock that stands still, for tests."""

from __future__ import annotations

import pytest


class Clock:
    """Replaces time.time, for Redis as well; it stands still until `forward`."""

    def __init__(self) -> None:
        # Integers: sums of floats would sometimes be due a millisecond too late.
        self._microseconds = 1_800_000_000_250_000

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self._microseconds += round(seconds * 1_000_000)

    @property
    def now(self) -> float:
        return self._microseconds / 1_000_000

    def rule(self, patch: pytest.MonkeyPatch) -> None:
        """Make all code use this clock from now on."""
        patch.setattr("time.time", self)
        patch.setattr("dramatiq.common.time", self)

    @property
    def milliseconds(self) -> int:
        return self._microseconds // 1000
