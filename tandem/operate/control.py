"""Operations on queues and workers: pause, resume, purge, and ask every worker to stop.

All functions expect a client that does not decode its answers, and raise redis.RedisError.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import redis
from dramatiq import Broker

from tandem.broker import keys
from tandem.broker.connection import clock
from tandem.broker.errors import Purged
from tandem.operate.removal import Removal

# A worker without a heartbeat for this long is lost; its state may still be stored.
LOST_MS = 60_000

# When a purge is killed, on_failed was called in vain for at most this many messages.
BATCH = 100


def known_queues(client: redis.Redis, declared: set[str]) -> set[str]:
    """Return the `declared` queues and those that were ever used on this Redis."""
    return declared | _texts(client.smembers(keys.QUEUES))


def paused(client: redis.Redis) -> set[str]:
    """Return the paused queues, from which no worker claims messages."""
    return _texts(client.smembers(keys.PAUSED))


def pause(client: redis.Redis, queue: str) -> bool:
    """Pause the queue: no worker claims a message from it; return False if it was already paused."""
    return bool(client.sadd(keys.PAUSED, queue))


def resume(client: redis.Redis, queue: str) -> bool:
    """Resume the queue; return False if it was not paused."""
    resumed = bool(client.srem(keys.PAUSED, queue))
    # Idle workers sleep until they are notified. If Redis's memory is full, they find the messages at their next check.
    with suppress(redis.exceptions.OutOfMemoryError):
        client.rpush(keys.notify(queue), 1)
    return resumed


def ask_to_stop(client: redis.Redis) -> None:
    """Ask every running worker to finish its messages and stop."""
    client.set(keys.STOP, uuid4().hex)


def stop_request(client: redis.Redis) -> bytes | None:
    """Return the id of the last request that all workers stop; None if there was none.

    Each worker stops when the id differs from the one at its start. A counter would restart in a Redis that lost its
    data.
    """
    return cast("bytes | None", client.get(keys.STOP))


def workers(client: redis.Redis) -> dict[str, dict[str, Any]]:
    """Return the state of every living worker by its name, which is host:process."""
    since = int(clock(client) * 1000) - LOST_MS
    alive = cast("list[bytes]", client.zrangebyscore(keys.HEARTBEATS, since, "+inf"))
    if not alive:
        return {}
    states = cast("list[bytes | None]", client.hmget(keys.WORKERS, cast("list[str]", alive)))
    return {name.decode(): json.loads(text) for name, text in zip(alive, states, strict=True) if text}


class Purge:
    """Removes the messages of a queue that are waiting now. Running ones and dead letters stay."""

    def __init__(self, client: redis.Redis, broker: Broker, queue: str) -> None:
        self._removal = Removal(client, broker, queue, lambda: Purged(f"removed from the queue {queue} by an operator"))
        self._ready = int(client.llen(keys.ready(queue)))
        self._last_ready = cast("bytes | None", client.lindex(keys.ready(queue), -1))
        self._parked = _members(client, keys.parked(queue))
        self._delayed = _members(client, keys.delayed(queue))

    @property
    def ready(self) -> int:
        """The number of messages found that wait, also for the limit of their actor."""
        return self._ready + len(self._parked)

    @property
    def delayed(self) -> int:
        """The number of delayed messages found."""
        return len(self._delayed)

    def run(self) -> Iterator[int]:
        """Remove the messages; yield the number removed so far after each batch."""
        removed = 0
        for batch in self._batches():
            for count in self._removal.finish(batch):
                removed += count
                yield removed

    def _batches(self) -> Iterator[list[bytes]]:
        for start in range(0, len(self._delayed), BATCH):
            yield self._removal.delayed_aside(self._delayed[start : start + BATCH])
        for start in range(0, len(self._parked), BATCH):
            yield self._removal.parked_aside(self._parked[start : start + BATCH])
        # Not only up to the last one: a worker can have claimed it meanwhile and requeued it after new ones.
        left = self._ready
        while self._last_ready and left > 0:
            ids = self._removal.ready_aside(self._last_ready, min(BATCH, left))
            if not ids:
                return
            left -= len(ids)
            yield ids


def _members(client: redis.Redis, key: str) -> list[bytes]:
    """Return the members of a sorted set, each once."""
    return list(dict.fromkeys(cast(bytes, member) for member, _ in client.zscan_iter(key, count=1000)))


def _texts(answer: object) -> set[str]:
    return {value.decode() for value in cast("set[bytes]", answer)}
