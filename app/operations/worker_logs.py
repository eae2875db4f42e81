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

from app.operations import spans
from app.operations.log_copy import FOLDER, process_of
from app.operations.tail import Tail

# How often growing files are looked at (seconds).
LOOK_SECONDS = 0.2
_FILE = re.compile(r"worker-(\d+)(-error)?\.log")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_COLOURS = (36, 33, 35, 32, 34, 96)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class NothingThere(Exception):
    """There are no such log files; the text says which there are."""


@dataclass(frozen=True)
class Entry:
    """What was logged at once: a line, and the lines of a traceback behind it."""

    stamp: datetime
    process: str
    lines: tuple[str, ...]


def parse_since(text: str, now: datetime) -> datetime:
    """A moment: `10m`, `2h`, `30s`, `1d` before now, or an ISO 8601 time (UTC unless it says otherwise).

    Raises ValueError.
    """
    try:
        if (span := spans.parse(text)) is not None:
            return now - span
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text} is no time: give 30s, 10m, 2h, 1d or 2026-11-22T05:30:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class WorkerLogs:
    """The files of the workers with these numbers (all, when empty); `errors_only` leaves stdout's files out."""

    def __init__(self, numbers: Iterable[int] = (), *, errors_only: bool = False, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._numbers = set(numbers)
        self._errors_only = errors_only
        self._tails: dict[str, Tail] = {}
        self._last: dict[str, datetime] = {}
        self._find()
        if not self._tails:
            raise NothingThere(self._what_there_is())

    def newest(self, count: int, since: datetime = LONG_AGO) -> list[Entry]:
        """The newest entries that are not older than `since`, oldest first, at most `count` lines."""
        entries = sorted(self._read(lambda lines: deque(lines, maxlen=count)), key=lambda entry: entry.stamp)
        kept: deque[Entry] = deque()
        left = count
        for entry in reversed(entries):
            if entry.stamp < since or left <= 0:
                break
            kept.appendleft(Entry(entry.stamp, entry.process, entry.lines[-left:]))
            left -= len(entry.lines)
        return list(kept)

    def follow(self) -> Iterator[Entry]:
        """What comes from now on, across rotations and with workers that are new, for ever."""
        while True:
            self._find()
            yield from sorted(self._read(list), key=lambda entry: entry.stamp)
            time.sleep(LOOK_SECONDS)

    def _read(self, keep: Callable[[Iterator[bytes]], Iterable[bytes]]) -> Iterator[Entry]:
        for name, tail in self._tails.items():
            yield from self._entries(process_of(name), name, keep(_all_lines(tail)))

    def _entries(self, process: str, name: str, lines: Iterable[bytes]) -> Iterator[Entry]:
        def stamp(line: str) -> datetime:
            self._last[name] = _stamp(line) or self._last.get(name, LONG_AGO)
            return self._last[name]

        texts = (line.decode(errors="replace") for line in lines)
        for moment, group in groupby(texts, key=stamp):
            yield Entry(moment, process, tuple(group))

    def _find(self) -> None:
        for path in sorted(self._folder.glob("worker-*.log")):
            match = _FILE.fullmatch(path.name)
            wanted = match and (match[2] or not self._errors_only)
            if wanted and match and (not self._numbers or int(match[1]) in self._numbers):
                self._tails.setdefault(path.name, Tail(path))

    def _what_there_is(self) -> str:
        numbers = sorted({int(match[1]) for path in self._folder.glob("*") if (match := _FILE.fullmatch(path.name))})
        if not numbers:
            return f"there are no workers' logs in {self._folder}: does this container run workers?"
        return f"there is no such worker: there are logs of {', '.join(map(str, numbers))}"


def painted(entry: Entry, *, colour: bool) -> Iterator[str]:
    """The entry's lines with the process's name in front, each worker in a colour of its own if asked for."""
    number = int(entry.process.rsplit("_", 1)[1])
    name = f"\033[{_COLOURS[number % len(_COLOURS)]}m{entry.process}\033[0m" if colour else entry.process
    for line in entry.lines:
        yield f"{name} | {line}"


def _all_lines(tail: Tail) -> Iterator[bytes]:
    """Everything there is by now: a tail gives a bounded part at a time."""
    before = None
    while tail.position != before or before is None:
        before = tail.position
        yield from tail.lines()
        if tail.position is None:
            return


def _stamp(line: str) -> datetime | None:
    """When the line was logged; None for one that belongs to the line before."""
    if match := _STAMP.match(line):
        return datetime.fromisoformat(match[0])
    if line.startswith("{"):
        try:
            return datetime.fromisoformat(json.loads(line)["time"])
        except (ValueError, KeyError, TypeError):
            return None
    return None
