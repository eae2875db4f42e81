"""What people do to queues and workers: pause, resume, purge, and ask every worker to leave.

Everything here takes a client that does not decode its answers, and raises redis.RedisError.
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
from dramatiq.common import current_millis
from dramatiq.errors import ActorNotFound, BrokerConnectionError, DecodeError

from app.queueing import keys
from app.queueing.errors import PermanentError

logger = logging.getLogger(__name__)

# A worker that gave no sign for so long is gone; what it says of itself may still be there.
SILENT_MS = 60_000

# How long a message is put aside while it is purged: the one who waits for it is told meanwhile.
ASIDE_MS = 60_000
# After so many seconds of telling, those that were told are forgotten and the others put aside anew.
TELLING_SECONDS = 20.0
# Messages of a purge that is killed were told of at most so often for nothing.
BATCH = 100
_SCRIPTS = Path(__file__).parent / "scripts"


class Purged(PermanentError):
    """Somebody removed the message from its queue."""


def known_queues(client: redis.Redis, declared: set[str]) -> set[str]:
    """The `declared` queues and those that were ever used on this Redis."""
    return declared | _texts(client.smembers(keys.QUEUES))


def paused(client: redis.Redis) -> set[str]:
    """The queues that nobody takes messages from."""
    return _texts(client.smembers(keys.PAUSED))


def pause(client: redis.Redis, queue: str) -> bool:
    """Nobody takes messages of the queue from now on; False when that was so already."""
    return bool(client.sadd(keys.PAUSED, queue))


def resume(client: redis.Redis, queue: str) -> bool:
    """Messages of the queue are taken again; False when they were not paused."""
    resumed = bool(client.srem(keys.PAUSED, queue))
    # Idle workers sleep until there is something to do. With Redis's memory full they look by themselves.
    with suppress(redis.exceptions.OutOfMemoryError):
        client.rpush(keys.bell(queue), 1)
    return resumed


def ask_to_stop(client: redis.Redis) -> None:
    """Asks every worker that runs now to finish and leave."""
    client.set(keys.STOP, uuid4().hex)


def stop_asked(client: redis.Redis) -> bytes | None:
    """The last time that all workers were asked to stop, by a name of its own; None when they never were.

    Each leaves when it is another one than at its start. A number would begin anew in a Redis that lost its data.
    """
    return cast("bytes | None", client.get(keys.STOP))


def workers(client: redis.Redis) -> dict[str, dict[str, Any]]:
    """What every living worker says of itself, by its name, which is host:process."""
    since = current_millis() - SILENT_MS
    alive = cast("list[bytes]", client.zrangebyscore(keys.HEARTBEATS, since, "+inf"))
    if not alive:
        return {}
    said = cast("list[bytes | None]", client.hmget(keys.WORKERS, cast("list[str]", alive)))
    return {name.decode(): json.loads(text) for name, text in zip(alive, said, strict=True) if text}


class Purge:
    """The messages of a queue that wait now, to be removed. Running ones and dead letters stay.

    While the one who waits for a message is told, the message is put aside among the delayed ones, due in a minute:
    no worker takes it, and when the purge is killed, it comes back by itself.
    """

    def __init__(self, client: redis.Redis, broker: Broker, queue: str) -> None:
        self._redis = client
        self._broker = broker
        self._queue = queue
        self._put_ready_aside = client.register_script((_SCRIPTS / "purge_ready.lua").read_text())
        self._put_delayed_aside = client.register_script((_SCRIPTS / "purge_delayed.lua").read_text())
        self._forget = client.register_script((_SCRIPTS / "purge_forget.lua").read_text())
        self.ready = int(client.llen(keys.ready(queue)))
        self._last_ready = cast("bytes | None", client.lindex(keys.ready(queue), -1))
        self._delayed = list({id_: None for id_, _ in client.zscan_iter(keys.delayed(queue), count=1000)})

    @property
    def delayed(self) -> int:
        """How many delayed messages it found."""
        return len(self._delayed)

    def run(self) -> Iterator[int]:
        """Removes them; gives how many are removed so far, now and then."""
        removed = 0
        for batch in self._batches():
            ids = batch
            while ids:
                told = self._tell(ids)
                removed += int(cast(int, self._forget(self._keys(), told)))
                yield removed
                ids = self._aside(ids[len(told) :])

    def _batches(self) -> Iterator[list[bytes]]:
        for start in range(0, len(self._delayed), BATCH):
            yield self._aside(self._delayed[start : start + BATCH])
        names = [keys.ready(self._queue), keys.delayed(self._queue)]
        # Not only up to the last one: that can have been taken meanwhile and have come back behind new ones.
        left = self.ready
        while self._last_ready and left > 0:
            until = current_millis() + ASIDE_MS
            ids = cast("list[bytes]", self._put_ready_aside(names, [self._last_ready, min(BATCH, left), until]))
            if not ids:
                return
            left -= len(ids)
            yield ids

    def _aside(self, ids: Sequence[bytes]) -> list[bytes]:
        """Those of them that are still delayed, put aside."""
        if not ids:
            return []
        until = current_millis() + ASIDE_MS
        return cast("list[bytes]", self._put_delayed_aside([keys.delayed(self._queue)], [until, *ids]))

    def _tell(self, ids: list[bytes]) -> list[bytes]:
        """Tells those who wait for the first of these messages; gives the ids of the messages they were told of."""
        until = time.monotonic() + TELLING_SECONDS
        payloads = cast("list[bytes | None]", self._redis.hmget(keys.payloads(self._queue), cast("list[str]", ids)))
        for count, payload in enumerate(payloads, start=1):
            if payload:
                self._tell_one(payload)
            if time.monotonic() > until:
                return ids[:count]
        return ids

    def _tell_one(self, payload: bytes) -> None:
        try:
            message: Message[Any] = Message.decode(payload)
            on_failed = self._broker.get_actor(message.actor_name).options.get("on_failed")
        except (ActorNotFound, DecodeError, TypeError):
            return  # nobody knows who could wait for it
        try:
            if on_failed:
                on_failed(message, Purged(f"removed from the queue {self._queue} by hand"))
        except (redis.RedisError, BrokerConnectionError):
            raise
        except Exception:
            # A bug in a workload must not keep a queue from being emptied.
            logger.exception("on_failed of %s broke for %s, which is removed", message.actor_name, message.message_id)

    def _keys(self) -> list[str]:
        return [keys.delayed(self._queue), keys.payloads(self._queue), keys.deliveries(self._queue)]


def _texts(answer: object) -> set[str]:
    return {value.decode() for value in cast("set[bytes]", answer)}
