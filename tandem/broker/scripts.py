"""The Lua scripts of this package: each moves messages from one place to another."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "lua"


def script(name: str) -> str:
    """Return the text of a script."""
    return (_FOLDER / f"{name}.lua").read_text()
