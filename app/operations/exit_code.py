"""The container's exit code. supervisord leaves with 0 whatever happened, so `restart: on-failure` would never act."""

from __future__ import annotations

from pathlib import Path

_FILE = Path("/run/tandem/exit-code")


def leave(code: int) -> None:
    """Lets supervisord end with this code."""
    _FILE.write_text(str(code))


def left() -> int:
    """The code that was left, or 0."""
    return int(_FILE.read_text()) if _FILE.exists() else 0


def forget() -> None:
    """A new start: what an earlier one left does not count."""
    _FILE.unlink(missing_ok=True)
