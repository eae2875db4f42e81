"""How many messages ended how, and how long they waited and ran: counted by settle.lua, read here.

Counts lie in stretches of STEPS seconds, each kept a little longer than the window that it is for: 1 s for the last
minute, 60 s for the last hour (and the 10 minutes of an alert), 900 s for the last day. Times lie in one histogram a
minute, kept for an hour, in buckets each a tenth wider than the one before.

A window is the stretch that runs now and as many whole ones before it as it is long: nothing that ended within it is
missing, and at most one stretch more is in it. So a minute is 60 to 61 seconds, an hour 60 to 61 minutes (its times
as well), and a day 24 hours to 24 hours and 15 minutes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import redis

from app.queueing import keys
from app.queueing.connection import text

#: Seconds of a stretch -> seconds for which it is kept.
STEPS = {1: 120, 60: 3_720, 900: 88_200}
TIMES_KEPT = 3_720
GROWTH = 1.1

MINUTE, HOUR, DAY = 60, 3_600, 86_400
#: Seconds of the longest window -> seconds of the stretches that it is read from.
_STEP_FOR = {MINUTE: 1, HOUR: 60, DAY: 900}
_LOG_GROWTH = math.log(GROWTH)


@dataclass(frozen=True)
class Counts:
    """Messages of an actor by how they ended. A `retried` one failed and comes again, a `failed` one is dead."""

    handled: int = 0
    retried: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Spread:
    """How long `count` messages took: the mean is exact to the microsecond, p95_ms as exact as `percentile`."""

    count: int = 0
    mean_ms: float = 0.0
    p95_ms: float = 0.0


@dataclass(frozen=True)
class Times:
    """How long messages of an actor waited until they were begun, and how long they ran."""

    wait: Spread = Spread()
    run: Spread = Spread()


def bucket(milliseconds: float) -> int:
    """The histogram's bucket: 0 up to 1 ms, n up to GROWTH**n ms."""
    return max(0, math.ceil(math.log(milliseconds) / _LOG_GROWTH)) if milliseconds > 1 else 0


def upper_edge(number: int) -> float:
    """The longest time of a bucket, in milliseconds."""
    return float(GROWTH**number)


def percentile(histogram: Mapping[int, int], per_cent: int) -> float:
    """The shortest time (ms) that so many per cent of the messages did not exceed (nearest rank).

    histogram: bucket -> messages, at least one. The answer is the geometric middle of the bucket in which the exact
    one lies: off by 5 % at most (the root of GROWTH), and below 1 ms by half a millisecond.
    """
    rank = -(-sum(histogram.values()) * per_cent // 100)
    for number in sorted(histogram):
        rank -= histogram[number]
        if rank <= 0:
            return GROWTH ** (number - 0.5) if number else 0.5
    raise ValueError("the histogram is empty")


def window(client: redis.Redis, seconds: int, now: float) -> dict[str, Counts]:
    """How the messages of each actor ended in the last `seconds`, which are a day at most.

    now: seconds since 1970 by the clock of Redis. Raises redis.RedisError.
    """
    step = _STEP_FOR[min(longest for longest in _STEP_FOR if seconds <= longest)]
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for field, count in _fields(client, [keys.counts(step, number) for number in _stretches(seconds, step, now)]):
        actor, _, outcome = field.rpartition("\t")
        found[actor][outcome] += count
    return {
        actor: Counts(handled=ended["handled"], retried=ended["retried"], failed=ended["failed"])
        for actor, ended in found.items()
    }


def times(client: redis.Redis, now: float) -> dict[str, Times]:
    """How long messages of each actor that ended in the last hour waited and ran.

    now: seconds since 1970 by the clock of Redis. Raises redis.RedisError.
    """
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for field, count in _fields(client, [keys.times(minute) for minute in _stretches(HOUR, 60, now)]):
        actor, what, part = field.rsplit("\t", 2)
        found[actor, what][part] += count
    spreads = {key: _spread(parts) for key, parts in found.items()}
    return {
        actor: Times(wait=spreads.get((actor, "wait"), Spread()), run=spreads.get((actor, "run"), Spread()))
        for actor in sorted({actor for actor, _ in spreads})
    }


def _stretches(seconds: int, step: int, now: float) -> range:
    """The numbers of the stretches that make a window, the running one among them."""
    running = int(now) // step
    return range(running - math.ceil(seconds / step), running + 1)


def _fields(client: redis.Redis, names: list[str]) -> Iterator[tuple[str, int]]:
    """All fields of these hashes, read in one round trip."""
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.hgetall(name)
    for hash_ in cast("list[dict[bytes | str, bytes | str]]", pipeline.execute()):
        for field, value in hash_.items():
            yield text(field), int(value)


def _spread(parts: Mapping[str, int]) -> Spread:
    """parts: buckets by their numbers, and "sum" in microseconds."""
    histogram = {int(part): count for part, count in parts.items() if part != "sum"}
    count = sum(histogram.values())
    if not count:
        return Spread()
    return Spread(count, mean_ms=round(parts["sum"] / count / 1000, 3), p95_ms=round(percentile(histogram, 95), 3))
