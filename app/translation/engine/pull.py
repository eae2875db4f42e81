"""How far a pull is, out of the lines that Ollama sends about its layers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pull:
    """A pull under way. status: what the server says. completed, total: bytes, of what it knows by now."""

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
        """How much of it is there, rounded down."""
        return 100 * self.completed // self.total if self.total else 0


class Layers:
    """Adds the lines of one pull up."""

    def __init__(self, model: str) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._changed = time.monotonic()
        self.pull = Pull(model, "", 0, 0)

    def add(self, line: Mapping[str, Any]) -> Pull:
        """How far the whole is with this line."""
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
        """For how long the lines have said the same: while a download stalls, Ollama goes on sending them."""
        return time.monotonic() - self._changed


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _size(count: int) -> str:
    """As pages of models write it: in powers of 1000."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
