"""The unexpected exits of processes with their times: `eventlistener` notes them here, `monitor` counts them.

One line for each, `seconds since 1970, name`. A line is written atomically, and an incomplete one is ignored.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tandem.support.files import write_atomically

FILE = Path("/run/tandem/restarts")
WINDOW_SECONDS = 600.0
MAX_BYTES = 65_536


def note(name: str, file: Path = FILE) -> None:
    """Note that this process has just exited. Only `eventlistener` calls it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > MAX_BYTES:
        _keep_newer_half(file)
    with file.open("ab", buffering=0) as out:
        # The leading newline ends a line that a killed predecessor may have left incomplete.
        out.write(f"\n{time.time():.3f} {name}\n".encode())


def recent(file: Path = FILE) -> dict[str, int]:
    """Return how often each process exited within the last WINDOW_SECONDS."""
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
    lines = [line for line in _lines(file) if line]
    write_atomically(file, "\n".join(lines[len(lines) // 2 :]) + "\n")
