"""The workers' heartbeats: a small file for each, which `heartbeat` writes and health check and monitor read.

A file and not a key in Redis: a living worker must not appear dead because Redis is unavailable. Imports nothing large,
because the monitor imports it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tandem.support.files import write_atomically

FOLDER = Path("/run/tandem/workers")
BEAT_SECONDS = 2.0
# Heartbeats that may be missing before a worker counts as hung. One that waits for Redis sends one every ten seconds.
MAX_MISSED_BEATS = 8
MAX_AGE_SECONDS = BEAT_SECONDS * MAX_MISSED_BEATS
# A worker sends its first heartbeat right after it has reached Redis.
FIRST_BEAT_SECONDS = 30


def write(name: str, state: dict[str, Any], folder: Path = FOLDER) -> None:
    """Write the heartbeat of the worker with this process name: pid, beat, time, state, ended, memory, running.

    Its time is by the monotonic clock, which all processes of a container share and which is never set.
    """
    write_atomically(folder / f"{name}.json", json.dumps(state))


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return each worker's heartbeat by its process name; those removed meanwhile are left out."""
    states = {}
    for path in folder.glob("*.json"):
        try:
            states[path.stem] = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            continue
    return states


def remove(name: str, folder: Path = FOLDER) -> None:
    """Remove the heartbeat of a worker that no longer exists."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def trouble(state: dict[str, Any]) -> str | None:
    """Return what is wrong with the worker that wrote this heartbeat, in a sentence, or None."""
    age = time.monotonic() - state["time"]
    if age > MAX_AGE_SECONDS:
        return f"no heartbeat for {age:.0f} s"
    for message in state["running"]:
        if message["stuck"]:
            return f"stuck for {message['seconds']:.0f} s in {message['actor']} {message['message_id']}"
    return None


def summary(state: dict[str, Any]) -> str:
    """Return the state of the worker in some words."""
    return (
        f"{state['state']}, {len(state['running'])} running, {state['ended']} ended, {state['memory'] / 2**20:.0f} MiB"
    )
