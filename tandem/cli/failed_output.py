"""Output of dead letters, for people and as JSON. Arguments can be secret: only the details of one letter show them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from tandem.broker.dead_letter import DeadLetter, FailureKind
from tandem.cli.terminal import fitted, width
from tandem.support.escapes import escaped, lines

TIME_WIDTH = len("2026-11-22T05:12:01Z")
ID_WIDTH = 36
WIDEST_NAME = 32
MIN_MESSAGE = 20
# Longer ones are truncated anyway, and need not be processed character by character.
MAX_MESSAGE = 1000


def moment(milliseconds: float, *, precise: bool = False) -> str:
    """Return a time in the format of the logs, in UTC."""
    try:
        time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):  # a payload can contain anything
        return "?"
    return time.isoformat(timespec="milliseconds" if precise else "seconds").replace("+00:00", "Z")


def table(letters: Iterable[DeadLetter], queues: Iterable[str], kinds: Iterable[FailureKind]) -> Iterator[str]:
    """Yield a line for each letter, lazily; the columns are as wide as the possible names need."""
    kinds = list(kinds)
    names = [
        _widest("queue", queues),
        _widest("actor", (kind.actor for kind in kinds)),
        _widest("error", (kind.error for kind in kinds)),
    ]
    columns = [TIME_WIDTH, *names, 0, ID_WIDTH]
    columns[4] = max(MIN_MESSAGE, width() - sum(columns) - 2 * (len(columns) - 1))
    yield _row(["time", "queue", "actor", "error", "message", "id"], columns)
    for letter in letters:
        message = letter.message[:MAX_MESSAGE]
        yield _row(
            [moment(letter.failed_at), letter.queue, letter.actor, letter.kind.error, message, letter.id], columns
        )


def statistics(counts: dict[FailureKind, int], last: dict[FailureKind, float]) -> Iterator[str]:
    """Yield a line for each error class and actor, the most frequent first."""
    columns = [9, TIME_WIDTH, _widest("error", (kind.error for kind in counts)), 0]
    yield _row(["count".rjust(9), "last", "error", "actor"], columns)
    for kind, count in _most_frequent(counts):
        yield _row([f"{count:,}".rjust(9), _last(last, kind), kind.error, kind.actor], columns)


def details(letter: DeadLetter) -> Iterator[str]:
    """Yield all details of one letter, and the commands to type next."""
    yield f"Failed message {escaped(letter.id)}"
    for name, value in _facts(letter):
        yield f"  {name:<9} {value}"
    if letter.attempts:
        yield f"Attempts, newest last ({len(letter.attempts)} of {letter.attempt_count} recorded)"
    for attempt in letter.attempts:
        at, worker, error, message = map(escaped, attempt)
        yield f"  {at}  {worker}  {error}: {message}"
    if letter.traceback:
        yield "Traceback of the last attempt"
        yield from (f"  {line}" for line in lines(letter.traceback.rstrip("\n")))
    yield "Next"
    if letter.content:
        yield f"  queue failed retry {escaped(shlex.quote(letter.id))}"
    yield f"  queue failed remove {escaped(shlex.quote(letter.id))}"


def json_array(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a JSON array in pieces: it is never in memory as a whole."""
    before = "[\n  "
    for record in records:
        yield before + json.dumps(record, default=repr)
        before = ",\n  "
    yield "[]\n" if before.startswith("[") else "\n]\n"


def summary(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter of a list, for JSON."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "actor": letter.actor,
        "error": letter.kind.error,
        "message": letter.message,
        "failed_at": moment(letter.failed_at, precise=True),
        "attempt_count": letter.attempt_count,
        "resent": letter.requeue_count,
    }


def everything(letter: DeadLetter) -> dict[str, Any]:
    """Return all details of a letter, for JSON."""
    content = letter.content
    return summary(letter) | {
        "readable": content is not None,
        "sent_at": moment(content.message_timestamp, precise=True) if content else None,
        "args": list(content.args) if content else None,
        "kwargs": content.kwargs if content else None,
        "attempts": [attempt._asdict() for attempt in letter.attempts],
        "traceback": letter.traceback,
        "payload": None if content else _raw(letter),
    }


def statistics_entries(counts: dict[FailureKind, int], last: dict[FailureKind, float]) -> Iterator[dict[str, Any]]:
    """Yield the statistics, for JSON."""
    for kind, count in _most_frequent(counts):
        yield {"error": kind.error, "actor": kind.actor, "count": count, "last_failed_at": _last(last, kind)}


def _facts(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    content = letter.content
    yield "queue", escaped(letter.queue)
    yield "actor", escaped(letter.actor)
    if content:
        named = [f"{escaped(name)}={value!r}" for name, value in content.kwargs.items()]
        yield "call", f"{escaped(letter.actor)}({', '.join([*map(repr, content.args), *named])})"
        yield "sent", moment(content.message_timestamp, precise=True)
    yield "failed", moment(letter.failed_at, precise=True)
    yield "error", f"{escaped(letter.kind.error)}: {escaped(letter.message)}"
    if content:
        yield "attempts", f"{letter.attempt_count:,}"
        yield "requeued", f"{letter.requeue_count:,} times"
    else:
        yield "payload", escaped(_raw(letter))


def _raw(letter: DeadLetter) -> str:
    return (letter.payload or b"").decode("utf-8", "backslashreplace")


def _most_frequent(counts: dict[FailureKind, int]) -> list[tuple[FailureKind, int]]:
    return sorted(counts.items(), key=lambda record: (-record[1], record[0]))


def _last(last: dict[FailureKind, float], kind: FailureKind) -> str:
    return moment(last[kind]) if kind in last else "?"


def _widest(title: str, names: Iterable[str]) -> int:
    return min(WIDEST_NAME, max(map(len, [title, *map(escaped, names)])))


def _row(cells: list[str], columns: list[int]) -> str:
    # The last cell is not truncated: an id or a name is only useful if it is complete.
    *others, last = map(escaped, cells)
    return "  ".join([*(fitted(cell, size) for cell, size in zip(others, columns, strict=False)), last])
