"""The workers' log files as one stream: what `queue logs` and bin/worker-logs.sh print."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from tandem.process.log_forwarder import FOLDER, process_of
from tandem.process.tail import Position, Tail
from tandem.support import durations
from tandem.support.escapes import escaped_line

# How often the files are checked for new lines (seconds).
POLL_INTERVAL = 0.2
_FILE = re.compile(r"worker-(\d+)(-error)?\.log")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_COLOURS = (36, 33, 35, 32, 34, 96)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class NoLogs(Exception):
    """There are no such log files; the text lists the existing ones."""


@dataclass(frozen=True)
class LogRecord:
    """One log record: a line, and the lines of a traceback after it."""

    stamp: datetime
    process: str
    lines: tuple[str, ...]


def parse_since(text: str, now: datetime) -> datetime:
    """Return a time: `10m`, `2h`, `30s`, `1d` before now, or an ISO 8601 time (UTC without a time zone).

    Raises ValueError.
    """
    try:
        if (duration := durations.parse(text)) is not None:
            return now - duration
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"--since {text} is invalid: expected 30s, 10m, 2h, 1d or 2026-11-22T05:30:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class WorkerLogs:
    """The files of the workers with these numbers (empty: all); `errors_only` leaves out the files of stdout.

    newest_bytes: how much of the end of each file is read, and none of its backups; None for all.
    """

    def __init__(
        self,
        numbers: Iterable[int] = (),
        *,
        errors_only: bool = False,
        folder: Path = FOLDER,
        newest_bytes: int | None = None,
    ) -> None:
        self._folder = folder
        self._newest_bytes = newest_bytes
        self._numbers = set(numbers)
        self._errors_only = errors_only
        self._tails: dict[str, Tail] = {}
        self._last: dict[str, datetime] = {}
        self._find()
        if not self._tails:
            raise NoLogs(self._existing())

    def newest(self, count: int, since: datetime = LONG_AGO) -> list[LogRecord]:
        """Return the newest records that are not older than `since`, oldest first, at most `count` lines."""
        records = sorted(self._read(lambda lines: deque(lines, maxlen=count)), key=lambda record: record.stamp)
        kept: deque[LogRecord] = deque()
        left = count
        for record in reversed(records):
            if record.stamp < since or left <= 0:
                break
            kept.appendleft(LogRecord(record.stamp, record.process, record.lines[-left:]))
            left -= len(record.lines)
        return list(kept)

    def of_message(self, id_: str, *, most: int = 1000) -> list[LogRecord]:
        """Return the newest records that name a message, oldest first, at most `most`."""
        needle = id_.encode(errors="surrogateescape")

        def matching(lines: Iterator[bytes]) -> Iterator[bytes]:
            # A record with the lines of its traceback; most lines are of other messages and cost one comparison.
            wanted = False
            for line in lines:
                wanted = needle in line or (wanted and line.startswith(b"  "))
                if wanted:
                    yield line

        found = deque(sorted(self._read(matching), key=lambda record: record.stamp), maxlen=most)
        return list(found)

    def follow(self) -> Iterator[LogRecord]:
        """Yield new records forever, across rotations and including new workers."""
        while True:
            self._find()
            yield from sorted(self._read(list), key=lambda record: record.stamp)
            time.sleep(POLL_INTERVAL)

    def _read(self, keep: Callable[[Iterator[bytes]], Iterable[bytes]]) -> Iterator[LogRecord]:
        for name, tail in self._tails.items():
            yield from self._records(process_of(name), name, keep(_all_lines(tail)))

    def _records(self, process: str, name: str, lines: Iterable[bytes]) -> Iterator[LogRecord]:
        def stamp(line: str) -> datetime:
            self._last[name] = _stamp(line) or self._last.get(name, LONG_AGO)
            return self._last[name]

        texts = (escaped_line(line).decode() for line in lines)
        for moment, group in groupby(texts, key=stamp):
            yield LogRecord(moment, process, tuple(group))

    def _find(self) -> None:
        for path in sorted(self._folder.glob("worker-*.log")):
            match = _FILE.fullmatch(path.name)
            wanted = match and (match[2] or not self._errors_only)
            if wanted and match and (not self._numbers or int(match[1]) in self._numbers):
                self._tails.setdefault(path.name, Tail(path, self._start(path)))

    def _start(self, path: Path) -> Position | None:
        if self._newest_bytes is None:
            return None
        found = path.stat()
        return Position(found.st_ino, max(0, found.st_size - self._newest_bytes))

    def _existing(self) -> str:
        known = numbers(self._folder)
        if not known:
            return f"no logs of workers in {self._folder}: check whether this container runs workers"
        return f"no logs of these workers: expected numbers from {', '.join(map(str, known))}"


def numbers(folder: Path = FOLDER) -> list[int]:
    """Return the numbers of the workers that have a log."""
    return sorted({int(match[1]) for path in folder.glob("*") if (match := _FILE.fullmatch(path.name))})


def painted(record: LogRecord, *, colour: bool) -> Iterator[str]:
    """Yield the record's lines prefixed with the process's name, each worker in its own colour if `colour` is set."""
    number = int(record.process.rsplit("_", 1)[1])
    name = f"\033[{_COLOURS[number % len(_COLOURS)]}m{record.process}\033[0m" if colour else record.process
    for line in record.lines:
        yield f"{name} | {line}"


def _all_lines(tail: Tail) -> Iterator[bytes]:
    """Yield all current lines: a tail yields a bounded part at a time."""
    before = None
    while tail.position != before or before is None:
        before = tail.position
        yield from tail.lines()
        if tail.position is None:
            return


def _stamp(line: str) -> datetime | None:
    """Return when the line was logged; None if it belongs to the line before."""
    if match := _STAMP.match(line):
        return datetime.fromisoformat(match[0])
    if line.startswith("{"):
        try:
            return datetime.fromisoformat(json.loads(line)["time"])
        except (ValueError, KeyError, TypeError):
            return None
    return None
