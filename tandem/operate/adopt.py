"""Takes over what dramatiq's own RedisBroker has left in a namespace: messages that wait, were held, or failed.

Its keys, of dramatiq 2: NAMESPACE:QUEUE (list of ids), NAMESPACE:QUEUE.msgs (hash of payloads), the same for QUEUE.DQ
(delayed), NAMESPACE:QUEUE.XQ (sorted set of dead letters) with QUEUE.XQ.msgs, NAMESPACE:__acks__.WORKER.QUEUE (sets of
ids that a worker holds) and NAMESPACE:__heartbeats__ (sorted set).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import redis

from tandem.broker import codec, keys
from tandem.broker.connection import clock, name
from tandem.broker.scripts import script

BATCH = 100
UNKNOWN = "?"
_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+)(?::|$)")


@dataclass(frozen=True)
class Place:
    """Where messages of a queue are. `key`: of their ids, of the type `type`; `payloads`: the key of their payloads."""

    queue: str
    key: str
    type: str
    payloads: str
    #: ready, delayed or dead: where they belong here.
    belongs: str


class Adoption:
    """What is left in a namespace. `client` does not decode its answers. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._redis = client
        self._namespace = namespace
        self._adopt = client.register_script(
            script("notify") + (Path(__file__).parent / "lua" / "adopt.lua").read_text()
        )
        self.places = {place: count for place in self._places() if (count := self._count(place))}

    def seconds_since_heartbeat(self) -> float | None:
        """Return how long ago a worker of dramatiq was last seen; None if none was ever."""
        key = f"{self._namespace}:__heartbeats__"
        last = cast("list[tuple[bytes, float]]", self._redis.zrange(key, -1, -1, withscores=True))
        return clock(self._redis) - last[0][1] / 1000 if last else None

    def run(self) -> Iterator[int]:
        """Take everything over; yield the number of messages after each batch."""
        total = 0
        for place in self.places:
            for ids in self._batches(place):
                total += self._move(place, ids)
                yield total

    def _places(self) -> Iterator[Place]:
        prefix = f"{self._namespace}:"
        own = self._namespace == keys.NAMESPACE
        for queue in sorted({_queue_of(key.removeprefix(prefix)) for key in self._keys(f"{prefix}*.msgs")}):
            base = f"{prefix}{queue}"
            if not own:
                yield Place(queue, base, "list", f"{base}.msgs", "ready")
            yield Place(queue, f"{base}.DQ", "list", f"{base}.DQ.msgs", "delayed")
            yield Place(queue, f"{base}.XQ", "zset", f"{base}.XQ.msgs", "dead")
            for held in self._keys(f"{prefix}__acks__.*.{queue}"):
                yield Place(queue, held, "set", f"{base}.msgs", "ready")
            for held in self._keys(f"{prefix}__acks__.*.{queue}.DQ"):
                yield Place(queue, held, "set", f"{base}.DQ.msgs", "delayed")

    def _keys(self, pattern: str) -> list[str]:
        return sorted(name(key) for key in self._redis.scan_iter(pattern, count=1000))

    def _count(self, place: Place) -> int:
        if place.type == "list":
            return int(self._redis.llen(place.key))
        if place.type == "set":
            return self._redis.scard(place.key)
        return len(self._new_letters(place))

    def _batches(self, place: Place) -> Iterator[list[bytes]]:
        ids: list[bytes]
        if place.type == "list":
            ids = cast("list[bytes]", self._redis.lrange(place.key, 0, -1))
        elif place.type == "set":
            ids = list(cast("set[bytes]", self._redis.smembers(place.key)))
        else:
            ids = self._new_letters(place)
        yield from (ids[begin : begin + BATCH] for begin in range(0, len(ids), BATCH))

    def _new_letters(self, place: Place) -> list[bytes]:
        """Return the dead letters that Tandem does not know yet: it notes the kind of each."""
        known = cast("list[bytes]", self._redis.hkeys(keys.dead_kinds(place.queue)))
        return list(set(cast("list[bytes]", self._redis.zrange(place.key, 0, -1))) - set(known))

    def _move(self, place: Place, ids: list[bytes]) -> int:
        payloads = cast("list[bytes | None]", self._redis.hmget(place.payloads, cast("list[str]", ids)))
        arguments: list[Any] = [place.queue, place.type, place.belongs]
        for id_, payload in zip(ids, payloads, strict=True):
            if payload is not None:
                arguments += [id_, *self._as_ours(place, id_, payload)]
        queue = place.queue
        names = [
            *(place.key, place.payloads, keys.payloads(queue), keys.ready(queue), keys.delayed(queue)),
            *(keys.notify(queue), keys.QUEUES, keys.dead(queue), keys.dead_payloads(queue), keys.dead_kinds(queue)),
            keys.dead_counts(queue),
        ]
        return int(cast(int, self._adopt(names, arguments)))

    def _as_ours(self, place: Place, id_: bytes, payload: bytes) -> tuple[bytes, float, str]:
        """Return payload, time and kind of a message."""
        message = codec.decode(payload)
        time: float = 0
        if place.belongs == "dead":
            time = self._redis.zscore(place.key, id_) or 0
        if message is None:
            return payload, time, f"{UNKNOWN}\tDecodeError"
        if place.belongs == "delayed":
            eta = message.options.get("eta")
            time = eta if isinstance(eta, (int, float)) else 0
        error = _error_of(message.options.get("traceback"))
        return message.copy(queue_name=place.queue).encode(), time, f"{message.actor_name}\t{error}"


def _queue_of(key: str) -> str:
    """Return the queue of the rest of a key: default of default.DQ.msgs."""
    return re.sub(r"(\.DQ|\.XQ)?\.msgs$", "", key)


def _error_of(traceback: object) -> str:
    """Return the class of the exception that a traceback ends with."""
    last = str(traceback or "").strip().rpartition("\n")[2]
    match = _ERROR.match(last)
    return match[1] if match else UNKNOWN
