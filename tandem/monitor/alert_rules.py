"""Alert rules: pure functions from metrics and thresholds to messages, without I/O or state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tandem.broker.statistics import Counts
from tandem.config.values import MIB
from tandem.operate.queue_stats import QueueState

T = TypeVar("T")

# A failure rate of only a few messages is not significant.
MIN_ENDED = 10
# Wrong tokens in ten minutes: somebody guesses tokens, or a program uses one that was replaced.
WRONG_TOKENS = 100
# Workers claim a delayed message within a second of its due time.
OVERDUE_SECONDS = 60
DATA = "/data"
# The alert fires below this many times DISK_FREE_LIMIT.
DISK_FREE_FACTOR = 2

#: Alerts of the queue, which all containers on one Redis share; all others are a container's own.
SHARED = frozenset({"queue-depth", "failure-rate", "oldest-message", "delayed-messages", "wrong-tokens", "schedules"})


@dataclass(frozen=True)
class Thresholds:
    """The settings ALERT_…, in seconds, bytes and shares; 0 disables an alert.

    disk_free: bytes on the disk of /data; the alert fires below it, before DISK_FREE_LIMIT refuses new work.
    """

    queue_depth: float
    failure_rate: float
    worker_down: float
    memory: float
    wait: float
    disk: float
    restarts: float
    disk_free: float = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Thresholds:
        """Create the thresholds from the variables that the entrypoint has checked and exported."""
        values = {
            name: float(environment[f"ALERT_{name.upper()}"])
            for name in cls.__dataclass_fields__
            if name != "disk_free"
        }
        return cls(**values, disk_free=float(environment.get("DISK_FREE_LIMIT", 0)) * DISK_FREE_FACTOR)


@dataclass(frozen=True)
class MetricsSnapshot:
    """The metrics of one check; a metric that could not be read is None, and its rules are skipped.

    workers_down: process -> seconds. memory: bytes of the container. disks: folder -> share in use. free: folder ->
    bytes left. restarts: process -> recent unexpected ends. redis, web: what is wrong, or "". checks: name -> what is
    wrong, or "". queues: all of them. ended: actor -> recent outcomes of its messages. wrong_tokens: recent requests
    refused for one. schedules: name -> why its last message is missing.
    """

    workers_down: Mapping[str, float] | None = None
    memory: int | None = None
    disks: Mapping[str, float] | None = None
    free: Mapping[str, int] | None = None
    restarts: Mapping[str, int] | None = None
    redis: str | None = None
    web: str | None = None
    checks: Mapping[str, str] | None = None
    queues: Iterable[QueueState] | None = None
    ended: Mapping[str, Counts] | None = None
    wrong_tokens: int | None = None
    schedules: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Alert:
    """A condition that holds: `text` names the value, the threshold and what to do."""

    text: str
    value: float | None = None
    threshold: float | None = None


class _Missing(Exception):
    """The metric could not be read."""


def evaluate(snapshot: MetricsSnapshot, thresholds: Thresholds) -> dict[str, Alert | None]:
    """Return the alert of each rule by its name, None if it does not hold; rules with a missing metric are left out."""
    evaluated: dict[str, Alert | None] = {}
    for name, rule in _RULES.items():
        try:
            evaluated[name] = rule(snapshot, thresholds)
        except _Missing:
            continue
    for name, trouble in (snapshot.checks or {}).items():
        evaluated.setdefault(name, Alert(f"{name}: {trouble}") if trouble else None)
    return evaluated


def _require(metric: T | None) -> T:
    if metric is None:
        raise _Missing
    return metric


def _queue_depth(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    limit = thresholds.queue_depth
    deep = [queue for queue in _require(snapshot.queues) if limit and queue.ready > limit]
    if not deep:
        return None
    what = ", ".join(f"{queue.ready} in {_named(queue)}" for queue in deep)
    text = (
        f"messages are waiting: {what}, more than {limit:.0f} (ALERT_QUEUE_DEPTH): start more workers, or check what "
        "is slow"
    )
    return Alert(text, max(queue.ready for queue in deep), limit)


def _oldest_message(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    limit = thresholds.wait
    late = [queue for queue in _require(snapshot.queues) if limit and queue.ready and queue.oldest_seconds > limit]
    if not late:
        return None
    what = ", ".join(f"{queue.oldest_seconds:.0f} s in {_named(queue)}" for queue in late)
    text = (
        f"the oldest message has been waiting for {what}, longer than {limit:.0f} s (ALERT_WAIT): does any worker "
        "consume this queue?"
    )
    return Alert(text, round(max(queue.oldest_seconds for queue in late)), limit)


def _delayed_messages(snapshot: MetricsSnapshot, _thresholds: Thresholds) -> Alert | None:
    stuck = [q for q in _require(snapshot.queues) if q.overdue_seconds > OVERDUE_SECONDS and not q.paused]
    if not stuck:
        return None
    what = ", ".join(f"{queue.overdue_seconds:.0f} s in {queue.name}" for queue in stuck)
    text = (
        f"a delayed message has been due for {what}, longer than {OVERDUE_SECONDS} s: does any worker consume this "
        "queue?"
    )
    return Alert(text, round(max(queue.overdue_seconds for queue in stuck)), OVERDUE_SECONDS)


def _named(queue: QueueState) -> str:
    return f"{queue.name}, which is paused" if queue.paused else queue.name


def _failure_rate(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    counts, limit = _require(snapshot.ended), thresholds.failure_rate
    failed = sum(count.failed for count in counts.values())
    ended = failed + sum(count.completed for count in counts.values())
    if not limit or ended < MIN_ENDED or failed <= limit * ended:
        return None
    worst = max(counts, key=lambda actor: counts[actor].failed)
    text = (
        f"{failed} of {ended} messages ({failed / ended:.0%}) failed for good in 10 minutes, more than {limit:.0%} "
        f"(ALERT_FAILURE_RATE), most of them of {worst}: queue failed show"
    )
    return Alert(text, round(failed / ended, 4), limit)


def _wrong_tokens(snapshot: MetricsSnapshot, _thresholds: Thresholds) -> Alert | None:
    count = _require(snapshot.wrong_tokens)
    if count <= WRONG_TOKENS:
        return None
    text = (
        f"{count:,} requests with a wrong API token in 10 minutes, more than {WRONG_TOKENS}: does a client use an old "
        "token, or does somebody guess tokens? Their addresses are in web.log, with 401 and 429"
    )
    return Alert(text, count, WRONG_TOKENS)


def _schedules(snapshot: MetricsSnapshot, _thresholds: Thresholds) -> Alert | None:
    late = _require(snapshot.schedules)
    if not late:
        return None
    what = "; ".join(f"{name} {reason}" for name, reason in sorted(late.items()))
    return Alert(f"schedules are overdue: {what}: queue schedules, queue failed show", len(late), 0)


def _workers(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    limit = thresholds.worker_down
    down = {name: s for name, s in _require(snapshot.workers_down).items() if limit and s >= limit}
    if not down:
        return None
    what = ", ".join(f"{name} for {seconds:.0f} s" for name, seconds in sorted(down.items()))
    text = f"down: {what}, the limit is {limit:.0f} s (ALERT_WORKER_DOWN): supervisorctl status, queue logs -e"
    return Alert(text, round(max(down.values())), limit)


def _memory(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    memory, limit = _require(snapshot.memory), thresholds.memory
    if not limit or memory <= limit:
        return None
    text = (
        f"the container uses {memory / MIB:.0f} MiB, more than {limit / MIB:.0f} MiB (ALERT_MEMORY): "
        "lower WORKERS or WORKER_MEMORY_LIMIT, or raise this and mem_limit"
    )
    return Alert(text, memory, limit)


def _disk(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    limit = thresholds.disk
    full = {folder: share for folder, share in _require(snapshot.disks).items() if limit and share >= limit}
    if not full:
        return _disk_left(snapshot, thresholds)
    what = ", ".join(f"{folder} is {share:.0%} full" for folder, share in sorted(full.items()))
    text = f"the disk of {what}, the limit is {limit:.0%} (ALERT_DISK): free disk space before messages are refused"
    return Alert(text, round(max(full.values()), 4), limit)


def _disk_left(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    free, limit = (snapshot.free or {}).get(DATA), thresholds.disk_free
    if free is None or free >= limit:
        return None
    text = (
        f"{free / MIB:.0f} MiB are free on the disk of {DATA}, less than {limit / MIB:.0f} MiB: free disk space before "
        f"new work is refused, below {limit / DISK_FREE_FACTOR / MIB:.0f} MiB (DISK_FREE_LIMIT)"
    )
    return Alert(text, free, limit)


def _restarts(snapshot: MetricsSnapshot, thresholds: Thresholds) -> Alert | None:
    limit = thresholds.restarts
    frequent = {name: count for name, count in _require(snapshot.restarts).items() if limit and count >= limit}
    if not frequent:
        return None
    what = ", ".join(f"{name} {count} times" for name, count in sorted(frequent.items()))
    text = f"ended unexpectedly in 10 minutes: {what}, the limit is {limit:.0f} (ALERT_RESTARTS): read its log"
    return Alert(text, max(frequent.values()), limit)


def _redis(snapshot: MetricsSnapshot, _thresholds: Thresholds) -> Alert | None:
    trouble = _require(snapshot.redis)
    return Alert(f"Redis is unavailable, so no message is accepted or handled: {trouble}") if trouble else None


def _web(snapshot: MetricsSnapshot, _thresholds: Thresholds) -> Alert | None:
    trouble = _require(snapshot.web)
    return Alert(f"web does not answer: {trouble}: supervisorctl tail web stderr") if trouble else None


_RULES: dict[str, Callable[[MetricsSnapshot, Thresholds], Alert | None]] = {
    "queue-depth": _queue_depth,
    "failure-rate": _failure_rate,
    "oldest-message": _oldest_message,
    "delayed-messages": _delayed_messages,
    "wrong-tokens": _wrong_tokens,
    "schedules": _schedules,
    "workers": _workers,
    "memory": _memory,
    "disk": _disk,
    "restarts": _restarts,
    "redis": _redis,
    "web": _web,
}
