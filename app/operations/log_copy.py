"""The copy of all log files on the container's stdout, so that `docker logs` shows every process by its name.

It reads the files, not the processes: a copy that is late or restarted then loses nothing, and nobody waits for it.
Each line comes once; when the copying process itself is killed, the lines of its last round can come twice.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from app.operations.tail import Position, Tail

FOLDER = Path("/var/log/supervisor")
POSITIONS = Path("/run/tandem/log-copy.json")
# The pipe that Docker reads; our own stdout speaks supervisor's protocol.
CONTAINER_STDOUT = Path("/proc/1/fd/1")
# The longest that a line waits before it is copied (seconds).
LOOK_SECONDS = 0.2
NAME_WIDTH = 11


def start_behind_what_is_there() -> None:
    """Notes the ends of all files, for the start of a container whose log volume is older than itself."""
    _save({path.name: Position(path.stat().st_ino, path.stat().st_size) for path in FOLDER.glob("*.log")})


def process_of(file_name: str) -> str:
    """supervisor's name of the process that writes this file: worker-00-error.log belongs to worker_00."""
    return re.sub(r"(-error)?\.log$", "", file_name).replace("-", "_")


def prefixed(name: str, line: bytes) -> bytes:
    """`worker_00  | the line`"""
    return f"{name:<{NAME_WIDTH}}| ".encode() + line + b"\n"


def as_json(name: str, line: bytes) -> bytes:
    """The line itself when it is one of our JSON records, which name their process; else a record of now around it."""
    if line.startswith(b'{"') and b'"process"' in line:
        return line + b"\n"
    record = {"time": datetime.now(UTC).isoformat(), "level": "INFO", "process": name}
    return json.dumps({**record, "message": line.decode(errors="replace")}).encode() + b"\n"


class LogCopy(threading.Thread):
    """Copies until `finish`; `form` makes a line of the copy out of a process's name and its line."""

    def __init__(
        self, form: Callable[[str, bytes], bytes], *, folder: Path = FOLDER, out: Path = CONTAINER_STDOUT
    ) -> None:
        super().__init__(name="log-copy", daemon=True)
        self._form = form
        self._folder = folder
        self._out = out
        self._over = threading.Event()
        self._positions = _load()
        self._tails: dict[str, Tail] = {}

    def run(self) -> None:
        """Looks at all files every LOOK_SECONDS, and at once again while there is more."""
        with self._out.open("wb", buffering=0) as out:
            while not self._over.is_set():
                if not self._round(out):
                    self._over.wait(LOOK_SECONDS)
            while self._round(out):
                pass

    def finish(self) -> None:
        """Copies what is there and stops."""
        self._over.set()
        self.join(5)

    def _round(self, out: BinaryIO) -> bool:
        copied = False
        for name, tail in self._all():
            process = process_of(name)
            lines = [self._form(process, line) for line in tail.lines()]
            for line in lines:
                _write(out, line)
            copied = copied or bool(lines)
        if copied:
            _save({name: tail.position for name, tail in self._tails.items() if tail.position})
        return copied

    def _all(self) -> Iterator[tuple[str, Tail]]:
        for path in sorted(self._folder.glob("*.log")):
            if path.name not in self._tails:
                self._tails[path.name] = Tail(path, self._positions.get(path.name))
            yield path.name, self._tails[path.name]


def _write(out: BinaryIO, line: bytes) -> None:
    """A pipe can take a part of it only."""
    while line:
        line = line[out.write(line) :]


def _load() -> dict[str, Position]:
    try:
        return {name: Position(*place) for name, place in json.loads(POSITIONS.read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}


def _save(positions: dict[str, Position]) -> None:
    beside = POSITIONS.with_suffix(".new")
    beside.write_text(json.dumps({name: [place.inode, place.offset] for name, place in positions.items()}))
    beside.replace(POSITIONS)
