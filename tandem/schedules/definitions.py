"""The schedules of this container's workloads, handed to the monitor in a file: it loads no workloads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tandem.schedules.schedule import Definition
from tandem.support.files import write_atomically

FILE = Path("/run/tandem/schedules.json")


def write(schedules: Iterable[Definition], actors: Iterable[str], *, file: Path = FILE) -> None:
    """Store the schedules, and the names of the actors that workers of this container know."""
    content = {"schedules": [asdict(schedule) for schedule in schedules], "actors": sorted(actors)}
    write_atomically(file, json.dumps(content))


def read(*, file: Path = FILE) -> tuple[list[Definition], set[str]]:
    """Return the schedules and the actors; none of either where nothing was written."""
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        return [], set()
    return [Definition(**schedule) for schedule in content["schedules"]], set(content["actors"])
