"""The processes that ended unexpectedly, and when: `events` hears of them and notes them here, `monitor` counts.

One line for each, `seconds since 1970, name`. A line is written at once or not at all, and a torn one is passed over.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

FILE = Path("/run/tandem/restarts")
WINDOW_SECONDS = 600.0
LARGEST = 65_536


def note(name: str, file: Path = FILE) -> None:
    """Remembers that this process ended just now. Only `events` calls it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > LARGEST:
        _keep_newer_half(file)
    with file.open("ab", buffering=0) as out:
        # The newline in front ends a line that a killed predecessor may have torn.
        out.write(f"\n{time.time():.3f} {name}\n".encode())


def recent(file: Path = FILE) -> dict[str, int]:
    """How often each process ended within the last WINDOW_SECONDS."""
    since = time.time() - WINDOW_SECONDS
    ends: Counter[str] = Counter()
    for line in _lines(file):
        moment, _, name = line.partition(" ")
        with suppress(ValueError):
            ends[name] += name != "" and float(moment) > since
    return {name: count for name, count in ends.items() if count}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _keep_newer_half(file: Path) -> None:
    beside = file.with_suffix(".new")
    lines = [line for line in _lines(file) if line]
    beside.write_text("\n".join(lines[len(lines) // 2 :]) + "\n")
    beside.replace(file)
