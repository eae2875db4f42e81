"""What each page shows, ready for its template."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tandem.broker.broker import Broker
from tandem.broker.dead_letter import FailureKind, attempts_of
from tandem.broker.telemetry import TRACEPARENT
from tandem.broker.totals import Handled
from tandem.config.settings import Settings
from tandem.operate import worker_logs
from tandem.operate.messages import MOST_SEARCHED, Filter, Found, Messages, Page, sent_at
from tandem.operate.worker_logs import LogRecord, NoLogs, WorkerLogs
from tandem.support.formatting import duration
from tandem.web.ops import masking
from tandem.web.ops.formats import moment

PAGE = 50
# How far back the last failure of each kind is looked for, in each queue.
MOST_WALKED = 10_000
MOST_LINES = 500
# Of each log, its end is searched for the lines about a message; the command searches all of it.
MOST_BYTES = 4 * 2**20
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class Listing:
    """A page of messages. total: how many match, if that is known; is_whole: whether all were looked at."""

    page: Page
    total: int | None
    is_whole: bool
    now: float


def listing(found: Messages, broker: Broker, wanted: Filter, after: str) -> Listing:
    """Return one page of a list. Raises InvalidFilter and redis.RedisError."""
    page = found.page(wanted, after=after, limit=PAGE)
    total, is_whole = page.total, page.searched < MOST_SEARCHED
    if wanted.state == "failed" and total is None:
        total, is_whole = failed_total(found, broker, wanted)
    return Listing(page, total, is_whole, found.now())


def failed_total(found: Messages, broker: Broker, wanted: Filter) -> tuple[int, bool]:
    """Return how many dead letters match, and whether all were looked at."""
    if wanted.text:
        return found.count_failed(wanted)
    kinds = _kinds(broker, [wanted.queue] if wanted.queue else found.queues())
    return sum(count for kind, count in kinds.items() if _is_of(kind, wanted)), True


def _is_of(kind: FailureKind, wanted: Filter) -> bool:
    return wanted.actor in ("", kind.actor) and wanted.error in ("", kind.error)


def _kinds(broker: Broker, queues: Iterable[str]) -> dict[FailureKind, int]:
    sums: dict[FailureKind, int] = {}
    for queue in queues:
        for kind, number in broker.dead_letters.counts(queue).items():
            sums[kind] = sums.get(kind, 0) + number
    return sums


@dataclass(frozen=True)
class Failure:
    """Dead letters of one kind. last: when the last one failed (seconds since 1970); None if that is long ago."""

    actor: str
    error: str
    count: int
    last: float | None


def failures(broker: Broker, queues: Collection[str]) -> list[Failure]:
    """Return the dead letters by kind, the most frequent first. Raises redis.RedisError."""
    last: dict[FailureKind, float] = {}
    for queue in queues:
        for kind, failed_at in broker.dead_letters.last_failed_at(queue, at_most=MOST_WALKED).items():
            last[kind] = max(failed_at, last.get(kind, 0.0))
    found = [
        Failure(kind.actor, kind.error, count, last[kind] / 1000 if kind in last else None)
        for kind, count in _kinds(broker, queues).items()
    ]
    return sorted(found, key=lambda failure: (-failure.count, failure.error, failure.actor))


@dataclass(frozen=True)
class Step:
    """What happened to a message at one time. error: of an attempt, or ""."""

    at: str
    text: str
    error: str = ""


@dataclass(frozen=True)
class Detail:
    """One message. arguments: as JSON, or None while nobody has asked for them. logs: of this container only."""

    found: Found
    timeline: list[Step]
    arguments: str | None
    traceback: str
    trace_id: str
    trace_url: str
    logs: list[LogRecord]
    is_of_another_container: bool


def detail(
    found: Messages, broker: Broker, settings: Settings, one: Found, *, with_arguments: bool, with_logs: bool
) -> Detail:
    """Return what is known of a message. Raises redis.RedisError."""
    content = one.content
    actor = broker.actors.get(one.actor)
    shown = None
    if with_arguments and content:
        shown = masking.arguments(content, actor.fn if actor else None, settings.ops_hidden_arguments)
    options: Mapping[str, Any] = content.options if content else {}
    trace = _TRACE.fullmatch(str(options.get(TRACEPARENT, "")))
    trace_id = trace[1] if trace else ""
    return Detail(
        one,
        list(_timeline(one, found.history(one.id))),
        shown,
        str(options.get("traceback") or "") if one.state == "failed" else "",
        trace_id,
        settings.ops_trace_url.replace("{trace_id}", trace_id) if trace_id else "",
        message_logs(content.message_id if content else one.id) if with_logs else [],
        bool(one.worker) and one.worker.rpartition(":")[0] != socket.gethostname(),
    )


def _timeline(one: Found, handled: list[Handled]) -> Iterator[Step]:
    content = one.content
    if content:
        yield Step(moment(sent_at(content), precise=True), "sent")
    left = list(handled)
    for attempt in attempts_of(content) if content else []:
        end = next((end for end in left if end.worker == attempt.worker and end.error == attempt.error), None)
        if end:
            left.remove(end)
        text = f"{attempt.worker}: {attempt.message}{f' ({_times(end)})' if end else ''}"
        yield Step(attempt.at, text, attempt.error)
    for end in left:
        yield Step(moment(end.at, precise=True), f"{end.worker}: {end.outcome} ({_times(end)})", end.error)
    if one.state == "failed":
        yield Step(moment(one.at, precise=True), "failed for good")


def _times(end: Handled) -> str:
    return f"waited {duration(end.waited)}, ran {duration(end.ran)}"


def message_logs(id_: str) -> list[LogRecord]:
    """Return the log lines about a message in this container."""
    try:
        return WorkerLogs(newest_bytes=MOST_BYTES).of_message(id_, most=MOST_LINES)
    except NoLogs:
        return []


def log(worker: str, *, errors_only: bool) -> list[LogRecord]:
    """Return the newest log lines of the workers of this container, oldest first."""
    numbers = [int(worker)] if worker.isdecimal() else []
    try:
        return WorkerLogs(numbers, errors_only=errors_only, newest_bytes=MOST_LINES * 1000).newest(MOST_LINES)
    except NoLogs:
        return []


def worker_numbers() -> list[int]:
    """Return the workers of this container that have a log."""
    return worker_logs.numbers()
