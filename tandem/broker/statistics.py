"""How many messages ended with which outcome, and how long they waited and ran: counted by ack.lua, read here.

Counts are kept in time buckets of STEPS seconds, each stored a little longer than the window that it is for: 1 s for
the last minute, 60 s for the last hour (and the 10 minutes of an alert), 900 s for the last day. Times are kept in one
histogram per minute, stored for an hour, in histogram buckets each a tenth wider than the one before.

A window is the current time bucket and as many whole ones before it as it is long: no message that ended within the
window is missing, and at most one time bucket more is included. So a minute is 60 to 61 seconds, an hour 60 to 61
minutes (its times as well), and a day 24 hours to 24 hours and 15 minutes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import redis

from tandem.broker import keys
from tandem.broker.connection import text

#: Seconds of a time bucket -> seconds for which it is kept.
STEPS = {1: 120, 60: 3_720, 900: 88_200}
TIMES_KEPT = 3_720
GROWTH = 1.1

MINUTE, HOUR, DAY = 60, 3_600, 86_400
#: Seconds of the longest window -> seconds of the time buckets that it is read from.
_STEP_FOR = {MINUTE: 1, HOUR: 60, DAY: 900}
_LOG_GROWTH = math.log(GROWTH)


@dataclass(frozen=True)
class Counts:
    """Messages of an actor by outcome. A `retried` one failed and is delivered again, a `failed` one became dead."""

    completed: int = 0
    retried: int = 0
    failed: int = 0


@dataclass(frozen=True)
class LatencySummary:
    """How long `count` messages took: the mean is exact to the microsecond, p95_ms as exact as `percentile`."""

    count: int = 0
    mean_ms: float = 0.0
    p95_ms: float = 0.0


@dataclass(frozen=True)
class Times:
    """How long messages of an actor waited until they started, and how long they ran."""

    wait: LatencySummary = LatencySummary()
    run: LatencySummary = LatencySummary()


def bucket(milliseconds: float) -> int:
    """Return the histogram's bucket: 0 up to 1 ms, n up to GROWTH**n ms."""
    return max(0, math.ceil(math.log(milliseconds) / _LOG_GROWTH)) if milliseconds > 1 else 0


def upper_edge(number: int) -> float:
    """Return the longest time of a histogram's bucket, in milliseconds."""
    return float(GROWTH**number)


def percentile(histogram: Mapping[int, int], per_cent: int) -> float:
    """Return the shortest time (ms) that `per_cent` % of the messages did not exceed (nearest rank).

    histogram: bucket -> messages, at least one. The result is the geometric mean of the bounds of the bucket that
    contains the exact value: off by 5 % at most (the root of GROWTH), and below 1 ms by half a millisecond.
    """
    rank = -(-sum(histogram.values()) * per_cent // 100)
    for number in sorted(histogram):
        rank -= histogram[number]
        if rank <= 0:
            return GROWTH ** (number - 0.5) if number else 0.5
    raise ValueError("the histogram is empty")


def window(client: redis.Redis, seconds: int, now: float) -> dict[str, Counts]:
    """Return how the messages of each actor ended in the last `seconds`, at most a day.

    now: seconds since 1970 by the clock of Redis. Raises redis.RedisError.
    """
    step = _STEP_FOR[min(longest for longest in _STEP_FOR if seconds <= longest)]
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for field, count in _fields(client, [keys.counts(step, number) for number in _time_buckets(seconds, step, now)]):
        actor, _, outcome = field.rpartition("\t")
        found[actor][outcome] += count
    return {
        actor: Counts(completed=ended["completed"], retried=ended["retried"], failed=ended["failed"])
        for actor, ended in found.items()
    }


def times(client: redis.Redis, now: float) -> dict[str, Times]:
    """Return how long messages of each actor that ended in the last hour waited and ran.

    now: seconds since 1970 by the clock of Redis. Raises redis.RedisError.
    """
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for field, count in _fields(client, [keys.times(minute) for minute in _time_buckets(HOUR, 60, now)]):
        actor, what, part = field.rsplit("\t", 2)
        found[actor, what][part] += count
    summaries = {key: _latency_summary(parts) for key, parts in found.items()}
    return {
        actor: Times(
            wait=summaries.get((actor, "wait"), LatencySummary()), run=summaries.get((actor, "run"), LatencySummary())
        )
        for actor in sorted({actor for actor, _ in summaries})
    }


def _time_buckets(seconds: int, step: int, now: float) -> range:
    """Return the numbers of the time buckets of a window, the current one included."""
    current = int(now) // step
    return range(current - math.ceil(seconds / step), current + 1)


def _fields(client: redis.Redis, names: list[str]) -> Iterator[tuple[str, int]]:
    """Yield all fields of these hashes, read in one round trip."""
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.hgetall(name)
    for hash_ in cast("list[dict[bytes | str, bytes | str]]", pipeline.execute()):
        for field, value in hash_.items():
            yield text(field), int(value)


def _latency_summary(parts: Mapping[str, int]) -> LatencySummary:
    """Summarize a histogram. parts: its buckets by their numbers, and "sum" in microseconds."""
    histogram = {int(part): count for part, count in parts.items() if part != "sum"}
    count = sum(histogram.values())
    if not count:
        return LatencySummary()
    return LatencySummary(
        count, mean_ms=round(parts["sum"] / count / 1000, 3), p95_ms=round(percentile(histogram, 95), 3)
    )


def ended_in_minutes(client: redis.Redis, minutes: Iterable[int]) -> dict[int, dict[str, int]]:
    """Return how many messages of each actor ended, whatever the outcome, in these minutes since 1970.

    Raises redis.RedisError.
    """
    names = list(minutes)
    pipeline = client.pipeline(transaction=False)
    for minute in names:
        pipeline.hgetall(keys.counts(60, minute))
    found: dict[int, dict[str, int]] = {}
    for minute, stored in zip(names, pipeline.execute(), strict=True):
        counts: Counter[str] = Counter()
        for field, value in stored.items():
            counts[text(field).rpartition("\t")[0]] += int(value)
        found[minute] = dict(counts)
    return found
