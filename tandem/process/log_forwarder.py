"""Copies all log files to the container's stdout, so that `docker logs` shows every process by its name.

It reads the files, not the processes' output: a slow or restarted copy loses nothing, and no process waits for it.
Each line appears once; if the copying process is killed, the lines of its last round can appear twice.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tandem.process.tail import Position, Tail
from tandem.support import colors
from tandem.support.escapes import escaped_line
from tandem.support.files import write_atomically
from tandem.support.times import iso

FOLDER = Path("/var/log/supervisor")
POSITIONS = Path("/run/tandem/log-copy.json")
# The pipe that Docker reads; this process's own stdout is for supervisor's protocol.
CONTAINER_STDOUT = Path("/proc/1/fd/1")
# How long a line waits at most before it is copied (seconds).
POLL_INTERVAL = 0.2
NAME_WIDTH = 11


def skip_existing_lines() -> None:
    """Save the ends of all files as positions, for a new container on an existing log volume."""
    _save({path.name: Position(path.stat().st_ino, path.stat().st_size) for path in FOLDER.glob("*.log")})


def process_of(file_name: str) -> str:
    """Return supervisor's name of the process that writes this file: worker-00-error.log belongs to worker_00."""
    return re.sub(r"(-error)?\.log$", "", file_name).replace("-", "_")


def prefixed(name: str, line: bytes) -> bytes:
    """Return the line with its prefix: `worker_00  | the line`."""
    return f"{name:<{NAME_WIDTH}}| ".encode() + escaped_line(line) + b"\n"


def colored(name: str, line: bytes) -> bytes:
    """Return the prefixed line, with the prefix in a colour of this process."""
    prefix, _, text = prefixed(name, line).partition(b"| ")
    return f"\x1b[{colors.of_name(name)}m".encode() + prefix + b"|\x1b[0m " + text


def as_json(name: str, line: bytes) -> bytes:
    """Return the line itself if it is a JSON record of this process; otherwise a record that contains it."""
    if line.startswith(b'{"') and _is_record_of(name, line):
        return line + b"\n"
    record = {"time": iso(time.time(), milliseconds=True), "level": "INFO", "process": name}
    return json.dumps({**record, "message": line.decode(errors="replace")}).encode() + b"\n"


def _is_record_of(name: str, line: bytes) -> bool:
    if not line.isascii():
        return False
    try:
        return bool(json.loads(line).get("process") == name)
    except (ValueError, RecursionError):
        return False


class LogForwarder(threading.Thread):
    """Copies until `finish`; `form` formats a line of the copy from a process's name and its line."""

    def __init__(
        self, form: Callable[[str, bytes], bytes], *, folder: Path = FOLDER, out: Path = CONTAINER_STDOUT
    ) -> None:
        super().__init__(name="log-copy", daemon=True)
        self._form = form
        self._folder = folder
        self._out = out
        self._stopped = threading.Event()
        self._positions = _load()
        self._tails: dict[str, Tail] = {}
        self._listed_at = 0.0

    def run(self) -> None:
        """Read all files every POLL_INTERVAL, and again at once while there are more lines."""
        with self._out.open("wb", buffering=0) as out:
            while not self._stopped.is_set():
                if not self._round(out):
                    self._stopped.wait(POLL_INTERVAL)
            while self._round(out):
                pass

    def finish(self) -> None:
        """Copy the remaining lines and stop."""
        self._stopped.set()
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
        # Listed only when a file has come or gone, which changes the folder's time; one that has just changed is listed
        # again, because a second file can come within the same tick of that clock.
        if (changed_at := self._folder.stat().st_mtime) != self._listed_at:
            self._listed_at = changed_at if time.time() - changed_at > 1 else 0.0
            for path in self._folder.glob("*.log"):
                if path.name not in self._tails:
                    self._tails[path.name] = Tail(path, self._positions.get(path.name))
            self._tails = dict(sorted(self._tails.items()))
        # Deleted files as well: a process keeps writing to one until it opens the file again.
        yield from self._tails.items()


def _write(out: BinaryIO, line: bytes) -> None:
    """Write the whole line; a pipe can accept a part of it only."""
    while line:
        line = line[out.write(line) :]


def _load() -> dict[str, Position]:
    try:
        return {name: Position(*place) for name, place in json.loads(POSITIONS.read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}


def _save(positions: dict[str, Position]) -> None:
    places = {name: [place.inode, place.offset] for name, place in positions.items()}
    write_atomically(POSITIONS, json.dumps(places))
