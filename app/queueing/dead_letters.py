"""The dead letters of all queues: counted, listed, found, sent again and forgotten, without ever loading them all.

Everything is read in pages and changed in batches, each one script that is over in a few milliseconds: a process that
is killed has done whole batches, and workers are served in between. keys.py describes the layout.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import redis

from app.queueing import keys
from app.queueing.connection import name, raw
from app.queueing.dead_letter import UNKNOWN, Kind, Letter

T = TypeVar("T")

#: Letters in one answer of Redis without their payloads, and letters that are read or changed in one step.
PAGE = 500
BATCH = 100
# Payloads in one script: with long ones a batch is sent in parts.
BATCH_BYTES = 2**20
_SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Wanted:
    """Which letters are meant: those of an actor, those with an error, or all."""

    actor: str | None = None
    error: str | None = None

    def takes(self, kind: Kind) -> bool:
        """Whether letters of this kind are meant."""
        return self.actor in (None, kind.actor) and self.error in (None, kind.error)


EVERY = Wanted()


class Retried(NamedTuple):
    """How many letters were sent again, were no longer there, and stay because nobody can read them."""

    sent: int = 0
    gone: int = 0
    unreadable: int = 0

    def plus(self, other: Retried) -> Retried:
        """The sums."""
        return Retried(*map(sum, zip(self, other, strict=True)))


class DeadLetters:
    """The dead letters in one Redis. All methods raise redis.RedisError.

    `resent` is told of the queue and the ids of messages that were sent again.
    """

    def __init__(
        self, client: redis.Redis, resent: Callable[[str, list[str]], None] = lambda _queue, _ids: None
    ) -> None:
        self._redis = client
        self._resent = resent
        self._page, self._retry, self._remove = (
            client.register_script((_SCRIPTS / f"dead_{name}.lua").read_text()) for name in ("page", "retry", "remove")
        )

    def queues(self) -> set[str]:
        """The queues that were ever sent to or consumed."""
        return {_text(name) for name in cast("set[bytes]", self._redis.smembers(keys.QUEUES))}

    def now(self) -> float:
        """Redis's own time, in ms: what is dead by then was dead before."""
        seconds, microseconds = self._redis.time()
        return seconds * 1000 + microseconds // 1000

    def counts(self, queue: str) -> dict[Kind, int]:
        """How many dead letters of each kind a queue has."""
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.zcard(keys.dead(queue))
            pipeline.hgetall(keys.dead_counts(queue))
            total, stored = pipeline.execute()
        counts = {Kind.read(_text(kind)): int(number) for kind, number in stored.items()}
        if without_kind := max(0, total - sum(counts.values())):
            counts[UNKNOWN] = counts.get(UNKNOWN, 0) + without_kind
        return counts

    def last_deaths(self, queue: str, wanted: Wanted = EVERY) -> dict[Kind, float]:
        """When (ms) the last letter of each kind died. Looks no further back than it has to."""
        missing = {kind for kind in self.counts(queue) if wanted.takes(kind)}
        last: dict[Kind, float] = {}
        for letter in self._walk(queue, "down", missing.__contains__) if missing else ():
            last[letter.kind] = letter.died
            missing.remove(letter.kind)
            if not missing:
                break
        return last

    def newest(self, queues: Iterable[str], wanted: Wanted = EVERY, *, limit: int) -> Iterator[Letter]:
        """The newest letters of these queues with their payloads, newest first, read as they are asked for."""
        streams = [self._walk(queue, "down", wanted.takes) for queue in queues]
        merged = islice(heapq.merge(*streams, key=lambda letter: -letter.died), limit)
        for batch in _batches(merged, BATCH):
            yield from self._opened(batch)

    def oldest(self, queue: str, wanted: Wanted = EVERY, *, until: float) -> Iterator[list[Letter]]:
        """The letters that died at `until` (ms) or earlier without their payloads, in batches, oldest first.

        Letters of the batches that were handed out may go meanwhile, and may come back: those died later.
        """
        return _batches(self._walk(queue, "up", wanted.takes, until), BATCH)

    def find(self, queues: Iterable[str], ids: Sequence[str]) -> dict[str, Letter]:
        """The letters with these ids and their payloads; unknown ids are left out."""
        found: dict[str, Letter] = {}
        for queue in queues:
            for batch in _batches(iter(ids), BATCH):
                found |= {letter.id: letter for letter in self._opened(self._look_up(queue, batch))}
        return found

    def retry(self, letters: Sequence[Letter]) -> Retried:
        """Sends letters of one queue again as they are in Redis now, behind what waits there.

        Of each letter only the death that was seen counts: one that was sent again and died anew stays.
        """
        outcome = Retried()
        for batch in _batches(iter(letters), BATCH):
            opened = self._opened(batch)
            unreadable = sum(letter.payload is not None and letter.content is None for letter in opened)
            revived = [(letter, payload) for letter in opened if (payload := letter.revived()) is not None]
            sent = sum(self._send(part) for part in _parts(revived))
            outcome = outcome.plus(Retried(sent, len(batch) - unreadable - sent, unreadable))
        return outcome

    def remove(self, letters: Sequence[Letter]) -> int:
        """Forgets letters of one queue, each only if it has not died anew; tells how many."""
        removed = 0
        for batch in _batches(iter(letters), BATCH):
            arguments = [part for letter in batch for part in (raw(letter.id), letter.died)]
            removed += int(self._remove(_dead_keys(batch[0].queue), arguments))
        return removed

    def expire(self, queue: str, before_ms: float, *, at_most: int = 1000) -> int:
        """Forgets letters that died before, oldest first, some at a time; tells how many."""
        old = cast(
            "list[tuple[bytes, float]]",
            self._redis.zrangebyscore(keys.dead(queue), "-inf", f"({before_ms}", 0, at_most, withscores=True),
        )
        return self.remove([Letter(queue, _text(id_), died) for id_, died in old])

    def _walk(
        self, queue: str, direction: str, takes: Callable[[Kind], bool], until: float = math.inf
    ) -> Iterator[Letter]:
        """The letters of some kinds from one end, page by page behind the last one seen: others may change them."""
        key_names = [keys.dead(queue), keys.dead_kinds(queue)]
        # Made once for each kind and not for each letter: a filter looks at all of them.
        kinds: dict[bytes | None, Kind] = {}
        died: Any = -math.inf if direction == "up" else math.inf
        id_ = b""
        while page := cast("list[Any]", self._page(key_names, [direction, died, id_, PAGE])):
            kinds |= {stored: Kind.read(_text(stored)) for stored in set(page[2::3])}
            for id_, died, stored in zip(page[::3], page[1::3], page[2::3], strict=True):
                if float(died) > until:
                    return
                if takes(kinds[stored]):
                    yield Letter(queue, _text(id_), float(died), kinds[stored])

    def _opened(self, letters: Sequence[Letter]) -> list[Letter]:
        """The same letters with their payloads."""
        payloads: dict[tuple[str, str], bytes | None] = {}
        for queue in {letter.queue for letter in letters}:
            ids = [letter.id for letter in letters if letter.queue == queue]
            read = cast(
                "list[bytes | None]", self._redis.hmget(keys.dead_payloads(queue), cast(Any, [raw(id_) for id_ in ids]))
            )
            payloads |= {(queue, id_): payload for id_, payload in zip(ids, read, strict=True)}
        return [replace(letter, payload=payloads[letter.queue, letter.id]) for letter in letters]

    def _look_up(self, queue: str, ids: Sequence[str]) -> list[Letter]:
        with self._redis.pipeline(transaction=True) as pipeline:
            for id_ in [raw(id_) for id_ in ids]:
                pipeline.zscore(keys.dead(queue), id_)
            pipeline.hmget(keys.dead_kinds(queue), cast(Any, [raw(id_) for id_ in ids]))
            *deaths, kinds = pipeline.execute()
        rows = zip(ids, deaths, kinds, strict=True)
        return [Letter(queue, id_, died, Kind.read(_text(kind))) for id_, died, kind in rows if died is not None]

    def _send(self, revived: Sequence[tuple[Letter, bytes]]) -> int:
        queue = revived[0][0].queue
        key_names = [*_dead_keys(queue), keys.ready(queue), keys.payloads(queue), keys.QUEUES, keys.bell(queue)]
        parts = [part for letter, payload in revived for part in (raw(letter.id), letter.died, payload)]
        sent = int(cast(int, self._retry(key_names, [queue, *parts])))
        self._resent(queue, [letter.id for letter, _ in revived])
        return sent


def _dead_keys(queue: str) -> list[str]:
    return [keys.dead(queue), keys.dead_payloads(queue), keys.dead_kinds(queue), keys.dead_counts(queue)]


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch


def _parts(revived: Iterable[tuple[Letter, bytes]]) -> Iterator[list[tuple[Letter, bytes]]]:
    """The same in parts of BATCH_BYTES, each with one letter at least."""
    part: list[tuple[Letter, bytes]] = []
    for letter, payload in revived:
        if part and sum(len(other) for _, other in part) + len(payload) > BATCH_BYTES:
            yield part
            part = []
        part.append((letter, payload))
    if part:
        yield part


def _text(value: bytes | None) -> str:
    return name(value or b"")
