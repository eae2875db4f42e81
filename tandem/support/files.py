"""Atomic writes of files."""

from __future__ import annotations

from pathlib import Path


def write_atomically(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write a whole file: a reader sees the old one or the new one, even if this process dies.

    `mode`: the permissions of a new file, set before anything is written to it. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    if mode is not None:
        new.touch(mode=mode)
    new.write_text(text)
    new.replace(path)
