"""How many messages ever ended with which outcome, and how long they waited and ran: counted by ack.lua, never reset.

tandem:totals:<queue>   hash: actor, tab, outcome -> messages; actor, tab, wait or run, tab, number of a bucket ->
                        messages; actor, tab, wait or run, tab, "sum" -> microseconds
tandem:actors:<queue>   set: the actors that are counted by themselves
tandem:handled          list: the last messages that ended, newest first (see `Handled`)

Buckets are those of EDGES: number n has the times up to EDGES[n - 1] seconds, and the last one all longer times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from tandem.broker import keys
from tandem.broker.connection import name, text

#: The upper edges of buckets, in seconds.
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0)
OUTCOMES = ("completed", "retried", "failed")
#: Names of actors that are counted by themselves in one queue: anybody who can send can invent names.
MAX_ACTORS = 1000
OTHER = "(other)"
MAX_HANDLED = 1000

#: What ack.lua needs to know.
LUA = (
    f"local EDGES = {{{', '.join(f'{edge * 1e6:.0f}' for edge in EDGES)}}}\n"
    f"local MOST_ACTORS, OTHER, MOST_HANDLED = {MAX_ACTORS}, '{OTHER}', {MAX_HANDLED}\n"
)


@dataclass
class Histogram:
    """How long messages took: counts by the numbers of buckets, from 1, and the sum of all times."""

    counts: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def cumulative(self) -> list[int]:
        """Return for each edge how many messages did not take longer, and last how many there are."""
        sums, total = [], 0
        for number in range(1, len(EDGES) + 2):
            total += self.counts.get(number, 0)
            sums.append(total)
        return sums


@dataclass
class Totals:
    """All messages of an actor in one queue that ever ended."""

    outcomes: dict[str, int] = field(default_factory=dict)
    wait: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True)
class Handled:
    """A message that has ended. at: seconds since 1970 by the clock of Redis. waited, ran: seconds.

    error: the class of what an attempt ended with, or "".
    """

    at: float
    queue: str
    actor: str
    outcome: str
    waited: float
    ran: float
    worker: str
    error: str
    id: str


def totals(client: redis.Redis, queues: Iterable[str]) -> dict[str, dict[str, Totals]]:
    """Return the totals by queue and actor. client: one that does not decode. Raises redis.RedisError."""
    names = sorted(queues)
    pipeline = client.pipeline(transaction=False)
    for queue in names:
        pipeline.hgetall(keys.totals(queue))
    stored = cast("list[Mapping[bytes, bytes]]", pipeline.execute())
    return {queue: _by_actor(fields) for queue, fields in zip(names, stored, strict=True)}


def handled(client: redis.Redis, count: int = MAX_HANDLED) -> list[Handled]:
    """Return the last messages that ended, newest first. Raises redis.RedisError."""
    lines = cast("list[bytes]", client.lrange(keys.HANDLED, 0, count - 1))
    return [_handled(line) for line in lines]


def _handled(line: bytes) -> Handled:
    at, queue, actor, outcome, waited, ran, worker, error, id_ = name(line).split("\t", 8)
    return Handled(float(at) / 1000, queue, actor, outcome, int(waited) / 1e6, int(ran) / 1e6, worker, error, id_)


def _by_actor(stored: Mapping[bytes, bytes]) -> dict[str, Totals]:
    found: defaultdict[str, Totals] = defaultdict(Totals)
    for field_, value in stored.items():
        actor, *what = text(field_).split("\t")
        _add(found[actor], what, int(value))
    return dict(found)


def _add(totals: Totals, what: list[Any], value: int) -> None:
    if len(what) == 1:
        totals.outcomes[what[0]] = value
        return
    histogram = totals.wait if what[0] == "wait" else totals.run
    if what[1] == "sum":
        histogram.seconds = value / 1e6
    else:
        histogram.counts[int(what[1])] = value
