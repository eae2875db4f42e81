"""Times in ISO 8601, in UTC with a Z."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(seconds: float, *, milliseconds: bool = False) -> str:
    """Return a time in seconds since 1970 as text, such as 2026-11-22T05:30:00Z."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds" if milliseconds else "seconds").replace("+00:00", "Z")
