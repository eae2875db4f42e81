"""The dead letters of all queues: counted, listed, found, requeued and removed, without ever loading them all.

They are read in pages and changed in batches, each one script that takes a few milliseconds: a process that is killed
has completed whole batches, and Redis serves the workers in between. keys.py describes the layout.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

import redis

from tandem.broker import keys
from tandem.broker.connection import clock, name, raw
from tandem.broker.dead_letter import UNKNOWN, DeadLetter, FailureKind
from tandem.broker.scripts import script

T = TypeVar("T")

#: Dead letters in one answer of Redis without their payloads, and dead letters that one step reads or changes.
PAGE = 500
BATCH = 100
# Bytes of payloads in one script: a batch with long ones is sent in parts.
BATCH_BYTES = 2**20


@dataclass(frozen=True)
class Filter:
    """Selects dead letters: those of an actor, those with an error, or all."""

    actor: str | None = None
    error: str | None = None

    def matches(self, kind: FailureKind) -> bool:
        """Return whether dead letters of this kind are selected."""
        return self.actor in (None, kind.actor) and self.error in (None, kind.error)


ALL = Filter()


class Retried(NamedTuple):
    """How many dead letters were requeued, no longer existed, and stay because they cannot be decoded."""

    requeued: int = 0
    gone: int = 0
    undecodable: int = 0

    def plus(self, other: Retried) -> Retried:
        """Return the sum of both."""
        return Retried(*map(sum, zip(self, other, strict=True)))


class DeadLetters:
    """The dead letters in one Redis. All methods raise redis.RedisError.

    `on_requeued` is called with the queue and the ids of requeued messages, and `on_removed` with each removed dead
    letter and its payload.
    """

    def __init__(
        self,
        client: redis.Redis,
        on_requeued: Callable[[str, list[str]], None] = lambda _queue, _ids: None,
        on_removed: Callable[[DeadLetter], None] = lambda _letter: None,
    ) -> None:
        self._redis = client
        self._on_requeued = on_requeued
        self._on_removed = on_removed
        self._page, self._retry, self._remove = (
            client.register_script(script(helper) + script(f"dead_{name}"))
            for helper, name in (("dead_rank", "page"), ("notify", "retry"), ("notify", "remove"))
        )

    def queues(self) -> set[str]:
        """Return the queues that messages were ever sent to or consumed from."""
        return {_text(name) for name in cast("set[bytes]", self._redis.smembers(keys.QUEUES))}

    def now(self) -> int:
        """Return the time of Redis in ms: messages that have failed by then failed before."""
        return round(clock(self._redis) * 1000)

    def counts(self, queue: str) -> dict[FailureKind, int]:
        """Return how many dead letters of each kind a queue has."""
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.zcard(keys.dead(queue))
            pipeline.hgetall(keys.dead_counts(queue))
            total, stored = pipeline.execute()
        counts = {FailureKind.parse(_text(kind)): int(number) for kind, number in stored.items()}
        if without_kind := max(0, total - sum(counts.values())):
            counts[UNKNOWN] = counts.get(UNKNOWN, 0) + without_kind
        return counts

    def last_failed_at(
        self, queue: str, wanted: Filter = ALL, *, at_most: int | None = None
    ) -> dict[FailureKind, float]:
        """Return when (ms) the last dead letter of each kind failed. Reads no further back than necessary.

        at_most: how many dead letters are looked at; kinds that are older than these are left out.
        """
        missing = {kind for kind in self.counts(queue) if wanted.matches(kind)}
        last: dict[FailureKind, float] = {}
        walk = islice(self._walk(queue, "down", lambda _kind: True), at_most)
        for letter in filter(lambda letter: letter.kind in missing, walk) if missing else ():
            last[letter.kind] = letter.failed_at
            missing.remove(letter.kind)
            if not missing:
                break
        return last

    def newest(self, queues: Iterable[str], wanted: Filter = ALL, *, limit: int) -> Iterator[DeadLetter]:
        """Yield the newest dead letters of these queues with their payloads, newest first, reading them lazily."""
        streams = [self._walk(queue, "down", wanted.matches) for queue in queues]
        merged = islice(heapq.merge(*streams, key=lambda letter: -letter.failed_at), limit)
        for batch in _batches(merged, BATCH):
            yield from self._with_payloads(batch)

    def oldest(self, queue: str, wanted: Filter = ALL, *, until: float) -> Iterator[list[DeadLetter]]:
        """Yield batches of dead letters that failed at `until` (ms) or earlier, without payloads, oldest first.

        Dead letters that were yielded may be removed or requeued meanwhile, and may fail again: those failed later.
        """
        return _batches(self._walk(queue, "up", wanted.matches, until), BATCH)

    def find(self, queues: Iterable[str], ids: Sequence[str]) -> dict[str, DeadLetter]:
        """Return the dead letters with these ids and their payloads; unknown ids are left out."""
        found: dict[str, DeadLetter] = {}
        for queue in queues:
            for batch in _batches(iter(ids), BATCH):
                found |= {letter.id: letter for letter in self._with_payloads(self._find_in(queue, batch))}
        return found

    def retry(self, letters: Sequence[DeadLetter]) -> Retried:
        """Requeue dead letters of one queue, as they are in Redis now, at the tail of the queue.

        Only the failure that was seen counts: a message that was requeued and failed again stays.
        """
        result = Retried()
        for batch in _batches(iter(letters), BATCH):
            letters_read = self._with_payloads(batch)
            undecodable = sum(letter.payload is not None and letter.content is None for letter in letters_read)
            now = self.now()
            payloads = [(letter, new) for letter in letters_read if (new := letter.requeued_payload(now)) is not None]
            requeued = sum(self._requeue(part) for part in _parts(payloads))
            result = result.plus(Retried(requeued, len(batch) - undecodable - requeued, undecodable))
        return result

    def remove(self, letters: Sequence[DeadLetter]) -> int:
        """Remove dead letters of one queue, each only if it has not failed again; return how many."""
        removed = 0
        for batch in _batches(iter(letters), BATCH):
            letters_read = self._with_payloads(batch)
            arguments = [part for letter in batch for part in (raw(letter.id), letter.failed_at)]
            gone = set(map(_text, cast("list[bytes]", self._remove(_dead_keys(batch[0].queue), arguments))))
            # After the script, because a letter that was requeued meanwhile must not be reported as removed.
            for letter in letters_read:
                if letter.id in gone:
                    self._on_removed(letter)
            removed += len(gone)
        return removed

    def expire(self, queue: str, before_ms: float, *, at_most: int = 1000) -> int:
        """Remove dead letters that failed before `before_ms`, oldest first, `at_most` at a time; return how many."""
        old = cast(
            "list[tuple[bytes, float]]",
            self._redis.zrangebyscore(keys.dead(queue), "-inf", f"({before_ms}", 0, at_most, withscores=True),
        )
        return self.remove([DeadLetter(queue, _text(id_), failed_at) for id_, failed_at in old])

    def _walk(
        self, queue: str, direction: str, matches: Callable[[FailureKind], bool], until: float = math.inf
    ) -> Iterator[DeadLetter]:
        """Yield dead letters from one end, page by page after the last one seen: other processes may change them."""
        key_names = [keys.dead(queue), keys.dead_kinds(queue)]
        # Parsed once for each kind and not for each letter: a filter checks all of them.
        kinds: dict[bytes | None, FailureKind] = {}
        failed_at: Any = -math.inf if direction == "up" else math.inf
        id_ = b""
        while page := cast("list[Any]", self._page(key_names, [direction, failed_at, id_, PAGE])):
            kinds |= {stored: FailureKind.parse(_text(stored)) for stored in set(page[2::3])}
            for id_, failed_at, stored in zip(page[::3], page[1::3], page[2::3], strict=True):
                if float(failed_at) > until:
                    return
                if matches(kinds[stored]):
                    yield DeadLetter(queue, _text(id_), float(failed_at), kinds[stored])

    def _with_payloads(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Return the same dead letters with their payloads."""
        payloads: dict[tuple[str, str], bytes | None] = {}
        for queue in {letter.queue for letter in letters}:
            ids = [letter.id for letter in letters if letter.queue == queue]
            read = cast(
                "list[bytes | None]", self._redis.hmget(keys.dead_payloads(queue), cast(Any, [raw(id_) for id_ in ids]))
            )
            payloads |= {(queue, id_): payload for id_, payload in zip(ids, read, strict=True)}
        return [replace(letter, payload=payloads[letter.queue, letter.id]) for letter in letters]

    def _find_in(self, queue: str, ids: Sequence[str]) -> list[DeadLetter]:
        with self._redis.pipeline(transaction=True) as pipeline:
            for id_ in [raw(id_) for id_ in ids]:
                pipeline.zscore(keys.dead(queue), id_)
            pipeline.hmget(keys.dead_kinds(queue), cast(Any, [raw(id_) for id_ in ids]))
            *times, kinds = pipeline.execute()
        rows = zip(ids, times, kinds, strict=True)
        return [
            DeadLetter(queue, id_, failed_at, FailureKind.parse(_text(kind)))
            for id_, failed_at, kind in rows
            if failed_at is not None
        ]

    def _requeue(self, letters: Sequence[tuple[DeadLetter, bytes]]) -> int:
        queue = letters[0][0].queue
        key_names = [*_dead_keys(queue), keys.ready(queue), keys.payloads(queue), keys.QUEUES, keys.notify(queue)]
        parts = [part for letter, payload in letters for part in (raw(letter.id), letter.failed_at, payload)]
        requeued = int(cast(int, self._retry(key_names, [queue, *parts])))
        self._on_requeued(queue, [letter.id for letter, _ in letters])
        return requeued


def _dead_keys(queue: str) -> list[str]:
    return [keys.dead(queue), keys.dead_payloads(queue), keys.dead_kinds(queue), keys.dead_counts(queue)]


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch


def _parts(letters: Iterable[tuple[DeadLetter, bytes]]) -> Iterator[list[tuple[DeadLetter, bytes]]]:
    """Yield the same in parts of BATCH_BYTES, each with at least one letter."""
    part: list[tuple[DeadLetter, bytes]] = []
    for letter, payload in letters:
        if part and sum(len(other) for _, other in part) + len(payload) > BATCH_BYTES:
            yield part
            part = []
        part.append((letter, payload))
    if part:
        yield part


def _text(value: bytes | None) -> str:
    return name(value or b"")
