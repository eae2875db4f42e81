"""The workers' signs of life: a small file for each, which `presence` writes and health check and monitor read.

A file and not a key in Redis: a worker that lives must not look dead because Redis is away. Imports nothing heavy,
because the monitor lives on it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

FOLDER = Path("/run/tandem/workers")
BEAT_SECONDS = 2.0
# Beats that may be missing before a worker counts as hung. One that waits for Redis in vain beats every ten seconds.
SILENT_BEATS = 8
SILENT_SECONDS = BEAT_SECONDS * SILENT_BEATS
# A worker beats right after it has found Redis.
FIRST_SIGN_SECONDS = 30


def write(name: str, sign: dict[str, Any], folder: Path = FOLDER) -> None:
    """Leaves the sign of the worker with this process name: pid, beat, time, state, ended, memory, running."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{name}.new"
    beside.write_text(json.dumps(sign))
    beside.replace(folder / f"{name}.json")


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Each worker's sign by its process name; one that is gone by now is left out."""
    signs = {}
    for path in folder.glob("*.json"):
        try:
            signs[path.stem] = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            continue
    return signs


def remove(name: str, folder: Path = FOLDER) -> None:
    """Takes the sign of a worker down that is no more."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def trouble(sign: dict[str, Any]) -> str | None:
    """What is wrong with the worker that gave this sign, in a sentence, or None."""
    age = time.time() - sign["time"]
    if age > SILENT_SECONDS:
        return f"no sign of life for {age:.0f} s"
    for message in sign["running"]:
        if message["stuck"]:
            return f"stuck for {message['seconds']:.0f} s in {message['actor']} {message['message_id']}"
    return None


def summary(sign: dict[str, Any]) -> str:
    """What the worker does, in some words."""
    return f"{sign['state']}, {len(sign['running'])} running, {sign['ended']} ended, {sign['memory'] / 2**20:.0f} MiB"
