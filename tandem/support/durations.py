"""Durations as people type them: 30s, 10m, 2h, 1d."""

from __future__ import annotations

import re
from datetime import timedelta

EXPECTED = "30s, 10m, 2h or 1d"

_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse(text: str) -> timedelta | None:
    """Return the duration of a text such as 10m; None if it is invalid."""
    match = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
