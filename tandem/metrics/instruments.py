"""Counters and histograms that all processes share, through Redis.

tandem:metric:<name>          hash: values of the labels and a part, tabs between them -> a number
tandem:metric:<name>:<host>   the same of one container, for a day after its last change
tandem:series:<name>          set: the combinations of labels, also with :<host>

The only part of a counter is ""; those of a histogram are the numbers of its buckets, from 1, and "sum". Names follow
Prometheus' conventions (https://prometheus.io/docs/practices/naming): base units, and no `_total`, which counters get
where they are shown.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, cast

import redis

from tandem.broker.connection import text

logger = logging.getLogger(__name__)

#: In seconds, for what takes from milliseconds to minutes.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: Combinations of labels that are counted by themselves; the values of labels often come from outside.
MAX_SERIES = 1000
MAX_LABEL = 120
OTHER = "(other)"
#: How long the counts of a container are kept after its last one (seconds).
HOST_KEPT = 86_400

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
_ADD = (Path(__file__).parent / "lua" / "add.lua").read_text()

Series = tuple[str, ...]


class Instrument:
    """What a counter and a histogram have in common. per_host: each container has counts of its own."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = (), *, per_host: bool = False) -> None:
        if not all(map(_NAME.fullmatch, (name, *labels))) or name.endswith("_total") or "le" in labels:
            raise ValueError(
                f"the metric {name} with the labels {', '.join(labels) or 'none'} is invalid: expected names such as "
                "shop_orders, of a-z, 0-9 and _, without _total at the end, and no label le"
            )
        self.name, self.about, self.labels, self.per_host = name, about, tuple(labels), per_host
        self._pending: dict[tuple[Series, str], float] = {}
        self._series: set[Series] = set()
        self._lock = threading.Lock()
        _instruments[name] = self

    def _add(self, labels: Mapping[str, object], amounts: Mapping[str, float]) -> None:
        if labels.keys() != set(self.labels):
            raise TypeError(f"{self.name}: expected the labels {', '.join(self.labels) or 'none'}, got {list(labels)}")
        if not all(map(isfinite, amounts.values())):
            raise ValueError(f"{self.name}: expected a number, got {list(amounts.values())}")
        series = tuple(_UNSAFE.sub("?", str(labels[label]))[:MAX_LABEL] for label in self.labels)
        with self._lock:
            if series not in self._series:
                if len(self._series) >= MAX_SERIES:
                    series = (OTHER,) * len(self.labels)
                self._series.add(series)
            for part, amount in amounts.items():
                self._pending[series, part] = self._pending.get((series, part), 0) + amount

    def take(self) -> dict[tuple[Series, str], float]:
        """Return what was counted since the last call, by labels and part."""
        with self._lock:
            taken, self._pending = self._pending, {}
        return taken

    def give_back(self, taken: Mapping[tuple[Series, str], float]) -> None:
        """Count again what could not be stored."""
        with self._lock:
            for key, amount in taken.items():
                self._pending[key] = self._pending.get(key, 0) + amount

    def keys(self) -> tuple[str, str]:
        """Return the keys of Redis with the sums and with the combinations of labels."""
        name = f"{self.name}:{socket.gethostname()}" if self.per_host else self.name
        return f"tandem:metric:{name}", f"tandem:series:{name}"

    def read(self, client: redis.Redis) -> dict[Series, dict[str, float]]:
        """Return the sums by labels and part. Raises redis.RedisError."""
        found: dict[Series, dict[str, float]] = {}
        for field, value in cast("dict[bytes, bytes]", client.hgetall(self.keys()[0])).items():
            *series, part = text(field).split("\t")
            # Those of another version may have other labels.
            if len(series) == len(self.labels):
                found.setdefault(tuple(series), {})[part] = float(value)
        return found


class Counter(Instrument):
    """A number that only grows. labels: their names; each combination of values is counted by itself."""

    def add(self, amount: float = 1, **labels: object) -> None:
        """Count `amount` more. Raises TypeError for other labels than the counter has, ValueError if it is negative."""
        if amount < 0:
            raise ValueError(f"{self.name}: a counter only grows, got {amount}")
        self._add(labels, {"": amount})


class Histogram(Instrument):
    """How often something took how long, or was how large. buckets: upper edges, ascending."""

    def __init__(
        self,
        name: str,
        about: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] = SECONDS,
        per_host: bool = False,
    ) -> None:
        super().__init__(name, about, labels, per_host=per_host)
        if list(buckets) != sorted(set(buckets)) or not buckets:
            raise ValueError(f"{name}: the buckets {buckets} are invalid: expected ascending numbers")
        self.buckets = tuple(buckets)

    def observe(self, value: float, **labels: object) -> None:
        """Note one value. Raises TypeError for other labels than the histogram has."""
        self._add(labels, {str(bisect_left(self.buckets, value) + 1): 1, "sum": value})


_instruments: dict[str, Instrument] = {}


def flush(client: redis.Redis) -> None:
    """Add what this process has counted to the sums in Redis. Raises redis.RedisError; nothing is forgotten then.

    If only the answer of Redis is lost, the counts of that moment are added twice. Totals of messages are never.
    What Redis refuses, because somebody has stored something else there, is logged and dropped.
    """
    for instrument in list(_instruments.values()):
        if taken := instrument.take():
            try:
                _store(client, instrument, taken)
            except redis.exceptions.OutOfMemoryError:
                instrument.give_back(taken)
                raise
            except redis.ResponseError as error:
                logger.warning("the counts of %s were refused: %s", instrument.name, error)
            except redis.RedisError:
                instrument.give_back(taken)
                raise


def _store(client: redis.Redis, instrument: Instrument, taken: Mapping[tuple[Series, str], float]) -> None:
    other = (OTHER,) * len(instrument.labels)
    arguments: list[Any] = [MAX_SERIES, HOST_KEPT if instrument.per_host else 0]
    for (series, part), amount in taken.items():
        arguments += ["\t".join(series), "\t".join(other), part, repr(amount)]
    client.eval(_ADD, 2, *instrument.keys(), *arguments)
