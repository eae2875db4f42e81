"""Operations on queues and workers: pause, resume, purge, and ask every worker to stop.

All functions expect a client that does not decode its answers, and raise redis.RedisError.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import redis
from dramatiq import Broker, Message
from dramatiq.errors import ActorNotFound, BrokerConnectionError, DecodeError

from tandem.broker import keys
from tandem.broker.connection import clock
from tandem.broker.errors import Purged

logger = logging.getLogger(__name__)

# A worker without a heartbeat for this long is lost; its state may still be stored.
LOST_MS = 60_000

# How long a message is put aside while it is purged, and its on_failed is called.
ASIDE_MS = 60_000
# After this many seconds of calling on_failed, the messages done are deleted and the others put aside again.
NOTIFY_SECONDS = 20.0
# When a purge is killed, on_failed was called in vain for at most this many messages.
BATCH = 100
_SCRIPTS = Path(__file__).parent / "lua"


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
    """Removes the messages of a queue that are waiting now. Running ones and dead letters stay.

    While a message's on_failed is called, the message is put aside as a delayed one, due in a minute: no worker claims
    it, and if the purge is killed, it becomes ready again by itself.
    """

    def __init__(self, client: redis.Redis, broker: Broker, queue: str) -> None:
        self._redis = client
        self._broker = broker
        self._queue = queue
        self._put_ready_aside = client.register_script((_SCRIPTS / "purge_ready.lua").read_text())
        self._put_parked_aside = client.register_script((_SCRIPTS / "purge_parked.lua").read_text())
        self._put_delayed_aside = client.register_script((_SCRIPTS / "purge_delayed.lua").read_text())
        self._forget = client.register_script((_SCRIPTS / "purge_forget.lua").read_text())
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
            ids = batch
            while ids:
                notified = self._notify(ids)
                removed += int(cast(int, self._forget(self._keys(), notified)))
                yield removed
                ids = self._aside(ids[len(notified) :])

    def _batches(self) -> Iterator[list[bytes]]:
        for start in range(0, len(self._delayed), BATCH):
            yield self._aside(self._delayed[start : start + BATCH])
        for start in range(0, len(self._parked), BATCH):
            names = [keys.parked(self._queue), keys.delayed(self._queue)]
            arguments: list[bytes | int] = [self._aside_until(), *self._parked[start : start + BATCH]]
            yield cast("list[bytes]", self._put_parked_aside(names, arguments))
        names = [keys.ready(self._queue), keys.delayed(self._queue)]
        # Not only up to the last one: a worker can have claimed it meanwhile and requeued it after new ones.
        left = self._ready
        while self._last_ready and left > 0:
            aside: list[bytes | int] = [self._last_ready, min(BATCH, left), self._aside_until()]
            ids = cast("list[bytes]", self._put_ready_aside(names, aside))
            if not ids:
                return
            left -= len(ids)
            yield ids

    def _aside(self, ids: Sequence[bytes]) -> list[bytes]:
        """Put those aside that are still delayed, and return them."""
        if not ids:
            return []
        arguments: list[bytes | int] = [self._aside_until(), *ids]
        return cast("list[bytes]", self._put_delayed_aside([keys.delayed(self._queue)], arguments))

    def _aside_until(self) -> int:
        """Return the time (ms) at which messages that are put aside become due again."""
        return int(clock(self._redis) * 1000) + ASIDE_MS

    def _notify(self, ids: list[bytes]) -> list[bytes]:
        """Call on_failed for these messages until NOTIFY_SECONDS have passed; return the ids of those done."""
        until = time.monotonic() + NOTIFY_SECONDS
        payloads = cast("list[bytes | None]", self._redis.hmget(keys.payloads(self._queue), cast("list[str]", ids)))
        for count, payload in enumerate(payloads, start=1):
            if payload:
                self._notify_one(payload)
            if time.monotonic() > until:
                return ids[:count]
        return ids

    def _notify_one(self, payload: bytes) -> None:
        try:
            message: Message[Any] = Message.decode(payload)
            on_failed = self._broker.get_actor(message.actor_name).options.get("on_failed")
        except (ActorNotFound, DecodeError, TypeError):
            return  # its actor, and so its on_failed, is unknown
        try:
            if on_failed:
                on_failed(message, Purged(f"removed from the queue {self._queue} by an operator"))
        except (redis.RedisError, BrokerConnectionError):
            raise
        except Exception:
            # A bug in a workload must not keep a queue from being emptied.
            logger.exception(
                "on_failed of %s failed for %s, which is removed nevertheless", message.actor_name, message.message_id
            )

    def _keys(self) -> list[str]:
        return [keys.delayed(self._queue), keys.payloads(self._queue), keys.deliveries(self._queue)]


def _members(client: redis.Redis, key: str) -> list[bytes]:
    """Return the members of a sorted set, each once."""
    return list(dict.fromkeys(cast(bytes, member) for member, _ in client.zscan_iter(key, count=1000)))


def _texts(answer: object) -> set[str]:
    return {value.decode() for value in cast("set[bytes]", answer)}
