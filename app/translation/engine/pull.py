"""The progress of a pull, computed from the lines that Ollama sends about its layers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pull:
    """A pull in progress. status: as reported by the server. completed, total: bytes of the layers known so far."""

    model: str
    status: str
    completed: int
    total: int

    def __str__(self) -> str:
        """`pulling gemma3:4b: 43 % of 3.3 GB`"""
        how_far = f"{self.percent} % of {_size(self.total)}" if self.total else self.status
        return f"pulling {self.model}: {how_far}"

    @property
    def percent(self) -> int:
        """Return the completed share in percent, rounded down."""
        return 100 * self.completed // self.total if self.total else 0


class Layers:
    """Sums up the layers of one pull."""

    def __init__(self, model: str) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._changed = time.monotonic()
        self.pull = Pull(model, "", 0, 0)

    def add(self, line: Mapping[str, Any]) -> Pull:
        """Add a line and return the progress of the whole pull."""
        if digest := line.get("digest"):
            self._layers[str(digest)] = _whole(line.get("completed")), _whole(line.get("total"))
        sizes = self._layers.values()
        now = Pull(
            self.pull.model, str(line.get("status")), sum(done for done, _ in sizes), sum(all_ for _, all_ in sizes)
        )
        if now != self.pull:
            self._changed = time.monotonic()
        self.pull = now
        return now

    @property
    def unchanged_seconds(self) -> float:
        """Return how long the progress has not changed: while a download stalls, Ollama keeps sending lines."""
        return time.monotonic() - self._changed


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _size(count: int) -> str:
    """Format bytes in powers of 1000, as model pages do."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
