"""What is worth waking someone: from figures and thresholds to sentences. Looks at nothing and keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from app.queueing.overview import QueueState
from app.queueing.statistics import Counts

T = TypeVar("T")
MIB = 2**20

# A share of a few messages says nothing.
ENDED_AT_LEAST = 10
# Workers move a delayed message within a second of when it is due.
OVERDUE_SECONDS = 60

#: Alerts of the queue, which all containers on one Redis share; all others are a container's own.
SHARED = frozenset({"queue-depth", "failure-rate", "oldest-message", "delayed-messages"})


@dataclass(frozen=True)
class Thresholds:
    """The settings ALERT_…, in seconds, bytes and shares; 0 switches an alert off."""

    queue_depth: float
    failure_rate: float
    worker_down: float
    memory: float
    wait: float
    disk: float
    restarts: float

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Thresholds:
        """From the variables that the entrypoint has checked and exported."""
        return cls(**{name: float(environment[f"ALERT_{name.upper()}"]) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Readings:
    """What one look saw; None is what it could not see, so that nothing follows from it.

    workers_down: process -> seconds. memory: bytes of the container. disks: folder -> share in use. restarts: process
    -> unexpected ends lately. redis, web: what is wrong, or "". checks: name -> what is wrong, or "". queues: all of
    them. ended: actor -> how its messages ended lately.
    """

    workers_down: Mapping[str, float] | None = None
    memory: int | None = None
    disks: Mapping[str, float] | None = None
    restarts: Mapping[str, int] | None = None
    redis: str | None = None
    web: str | None = None
    checks: Mapping[str, str] | None = None
    queues: Iterable[QueueState] | None = None
    ended: Mapping[str, Counts] | None = None


@dataclass(frozen=True)
class Alarm:
    """A condition that holds: `text` says the figure, the threshold and what to do."""

    text: str
    value: float | None = None
    threshold: float | None = None


class _Unseen(Exception):
    """The figure is not there."""


def judge(readings: Readings, thresholds: Thresholds) -> dict[str, Alarm | None]:
    """The alarm of each condition by its name, None where it does not hold; what was not seen is left out."""
    verdicts: dict[str, Alarm | None] = {}
    for name, rule in _RULES.items():
        try:
            verdicts[name] = rule(readings, thresholds)
        except _Unseen:
            continue
    for name, trouble in (readings.checks or {}).items():
        verdicts.setdefault(name, Alarm(f"{name}: {trouble}") if trouble else None)
    return verdicts


def _seen(figure: T | None) -> T:
    if figure is None:
        raise _Unseen
    return figure


def _queue_depth(readings: Readings, thresholds: Thresholds) -> Alarm | None:
    limit = thresholds.queue_depth
    deep = [queue for queue in _seen(readings.queues) if limit and queue.ready > limit]
    if not deep:
        return None
    what = ", ".join(f"{queue.ready} in {_named(queue)}" for queue in deep)
    text = f"messages wait: {what}, more than {limit:.0f} (ALERT_QUEUE_DEPTH): start more workers, or see what is slow"
    return Alarm(text, max(queue.ready for queue in deep), limit)


def _oldest_message(readings: Readings, thresholds: Thresholds) -> Alarm | None:
    limit = thresholds.wait
    late = [queue for queue in _seen(readings.queues) if limit and queue.ready and queue.oldest_seconds > limit]
    if not late:
        return None
    what = ", ".join(f"{queue.oldest_seconds:.0f} s in {_named(queue)}" for queue in late)
    text = f"the oldest message waits for {what}, longer than {limit:.0f} s (ALERT_WAIT): are workers taking it?"
    return Alarm(text, round(max(queue.oldest_seconds for queue in late)), limit)


def _delayed_messages(readings: Readings, _thresholds: Thresholds) -> Alarm | None:
    stuck = [q for q in _seen(readings.queues) if q.overdue_seconds > OVERDUE_SECONDS and not q.paused]
    if not stuck:
        return None
    what = ", ".join(f"{queue.overdue_seconds:.0f} s in {queue.name}" for queue in stuck)
    text = (
        f"a delayed message is due for {what}, longer than {OVERDUE_SECONDS} s, and still not ready: "
        "does any worker consume this queue?"
    )
    return Alarm(text, round(max(queue.overdue_seconds for queue in stuck)), OVERDUE_SECONDS)


def _named(queue: QueueState) -> str:
    return f"{queue.name}, which is paused" if queue.paused else queue.name


def _failure_rate(readings: Readings, thresholds: Thresholds) -> Alarm | None:
    counts, limit = _seen(readings.ended), thresholds.failure_rate
    failed = sum(count.failed for count in counts.values())
    ended = failed + sum(count.handled for count in counts.values())
    if not limit or ended < ENDED_AT_LEAST or failed <= limit * ended:
        return None
    worst = max(counts, key=lambda actor: counts[actor].failed)
    text = (
        f"{failed} of {ended} messages ({failed / ended:.0%}) failed for good in 10 minutes, more than {limit:.0%} "
        f"(ALERT_FAILURE_RATE), most of them of {worst}: queue failed show"
    )
    return Alarm(text, round(failed / ended, 4), limit)


def _workers(readings: Readings, thresholds: Thresholds) -> Alarm | None:
    limit = thresholds.worker_down
    down = {name: s for name, s in _seen(readings.workers_down).items() if limit and s >= limit}
    if not down:
        return None
    what = ", ".join(f"{name} for {seconds:.0f} s" for name, seconds in sorted(down.items()))
    text = f"down: {what}, the limit is {limit:.0f} s (ALERT_WORKER_DOWN): supervisorctl status, queue logs -e"
    return Alarm(text, round(max(down.values())), limit)


def _memory(readings: Readings, thresholds: Thresholds) -> Alarm | None:
    memory, limit = _seen(readings.memory), thresholds.memory
    if not limit or memory <= limit:
        return None
    text = (
        f"the container uses {memory / MIB:.0f} MiB, more than {limit / MIB:.0f} MiB (ALERT_MEMORY): "
        "lower WORKERS or WORKER_MEMORY_LIMIT, or raise this and mem_limit"
    )
    return Alarm(text, memory, limit)


def _disk(readings: Readings, thresholds: Thresholds) -> Alarm | None:
    limit = thresholds.disk
    full = {folder: share for folder, share in _seen(readings.disks).items() if limit and share >= limit}
    if not full:
        return None
    what = ", ".join(f"{folder} is {share:.0%} full" for folder, share in sorted(full.items()))
    text = f"the disk of {what}, the limit is {limit:.0%} (ALERT_DISK): make room before messages cannot be stored"
    return Alarm(text, round(max(full.values()), 4), limit)


def _restarts(readings: Readings, thresholds: Thresholds) -> Alarm | None:
    limit = thresholds.restarts
    often = {name: count for name, count in _seen(readings.restarts).items() if limit and count >= limit}
    if not often:
        return None
    what = ", ".join(f"{name} {count} times" for name, count in sorted(often.items()))
    text = f"ended unexpectedly in 10 minutes: {what}, the limit is {limit:.0f} (ALERT_RESTARTS): read its log"
    return Alarm(text, max(often.values()), limit)


def _redis(readings: Readings, _thresholds: Thresholds) -> Alarm | None:
    trouble = _seen(readings.redis)
    return Alarm(f"Redis cannot be used, so nothing is accepted or handled: {trouble}") if trouble else None


def _web(readings: Readings, _thresholds: Thresholds) -> Alarm | None:
    trouble = _seen(readings.web)
    return Alarm(f"web does not answer: {trouble}: supervisorctl tail web stderr") if trouble else None


_RULES: dict[str, Callable[[Readings, Thresholds], Alarm | None]] = {
    "queue-depth": _queue_depth,
    "failure-rate": _failure_rate,
    "oldest-message": _oldest_message,
    "delayed-messages": _delayed_messages,
    "workers": _workers,
    "memory": _memory,
    "disk": _disk,
    "restarts": _restarts,
    "redis": _redis,
    "web": _web,
}
