"""Rates, such as 10/s: how many messages of a queue all workers together start in a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

EXPECTED = "a number of messages and a unit, as 10/s, 100/m, 1000/h or 5000/d"
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RATE = re.compile(r"([0-9]{1,9})/([smhd])")


@dataclass(frozen=True)
class Rate:
    """`count` messages in `window` ms."""

    count: int
    window: int

    def __str__(self) -> str:
        return f"{self.count}/{next(unit for unit, ms in _UNITS.items() if ms == self.window)}"


def is_valid(text: object) -> bool:
    """Return whether this is the text of a rate."""
    try:
        parse(text)  # type: ignore[arg-type]  # any type is checked
    except ValueError:
        return False
    return True


def parse(text: str) -> Rate:
    """Return the rate of a text. Raises ValueError."""
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"the rate {text!r} is invalid: expected {EXPECTED}")
    return Rate(int(match[1]), _UNITS[match[2]])
