"""The container's exit code. supervisord always exits with 0, so `restart: on-failure` would never act."""

from __future__ import annotations

from pathlib import Path

_FILE = Path("/run/tandem/exit-code")


def write(code: int) -> None:
    """Make supervisord exit with this code."""
    _FILE.write_text(str(code))


def read() -> int:
    """Return the code that was written, or 0."""
    return int(_FILE.read_text()) if _FILE.exists() else 0


def reset() -> None:
    """Remove the code of an earlier start."""
    _FILE.unlink(missing_ok=True)
