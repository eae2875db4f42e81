"""Messages between Redis and a worker: taken, acknowledged, given back, and brought back after a worker's death.

The layout is dramatiq's own (see its dispatch.lua), with one hash more for each queue:

dramatiq:<queue>                    list of message ids, next one at the head
dramatiq:<queue>.msgs               hash: id -> payload, until the message is handled
dramatiq:__acks__.<worker>.<queue>  set of ids that are with a worker
dramatiq:<queue>.deliveries         hash: id -> how often it was handed to a worker that did not give it back
dramatiq:<queue>.XQ, .XQ.msgs       dead letters: sorted set by time of death, payloads
<queue>.DQ stands for a queue's delayed messages and has the same keys.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import redis
from dramatiq import Message
from dramatiq.common import current_millis, dq_name, q_name
from dramatiq.errors import DecodeError

logger = logging.getLogger(__name__)

#: A message that was delivered so often, and the last time was alone with a worker that died, becomes a dead letter.
MAX_DELIVERIES = 3
# Redis's Lua can hand over some thousand values at once; a fetch stays well below.
MAX_FETCH = 1000
_SCRIPTS = Path(__file__).parent / "scripts"


class Delivery:
    """The scripts of this folder, run for one worker. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis, *, namespace: str, worker: str) -> None:
        self.worker = worker
        self._redis = client
        self._namespace = namespace
        self._worker = worker
        self._fetch = self._script("fetch")
        self._ack = self._script("ack")
        self._bury = self._script("bury")
        self._give_back = self._script("give_back")
        self._expire = self._script("expire")

    def fetch(self, queue: str, count: int) -> list[tuple[str, bytes]]:
        """Ids and payloads of at most `count` messages off the head of the queue, which are now with this worker."""
        list_, payloads, acks, deliveries = self._keys(queue)
        keys = [list_, payloads, acks, deliveries, self._key("__heartbeats__")]
        answer = self._fetch(keys, [min(count, MAX_FETCH), self._worker, current_millis()])
        taken = cast("list[bytes]", answer)
        return [(id_.decode(), payload) for id_, payload in zip(taken[::2], taken[1::2], strict=True)]

    def ack(self, queue: str, id_: str) -> bool:
        """Forgets a handled message; False when it was no longer with this worker."""
        return bool(self._ack(self._keys(queue)[1:], [id_]))

    def bury(self, queue: str, id_: str, payload: bytes) -> bool:
        """Makes a message a dead letter with this payload; False when it was no longer with this worker."""
        dead = self._key(f"{q_name(queue)}.XQ")
        keys = [*self._keys(queue)[1:], dead, f"{dead}.msgs"]
        return bool(self._bury(keys, [id_, payload, current_millis()]))

    def give_back(self, queue: str, ids: Sequence[str], *, untouched: bool = True) -> int:
        """Puts messages back at the head of their queue in this order; tells how many.

        `untouched`: nobody worked on them, so this delivery does not count.
        """
        if not ids:
            return 0
        return int(cast(int, self._give_back(self._keys(queue), [int(untouched), *ids])))

    def read(self, queue: str, id_: str, payload: bytes) -> Message[Any] | None:
        """The message of a payload; one that cannot be read becomes a dead letter as it is."""
        try:
            return Message.decode(payload)
        except DecodeError:
            logger.error("the message %s of %s cannot be read: it becomes a dead letter", id_, queue)
            self.bury(queue, id_, payload)
            return None

    def held(self, queue: str) -> list[tuple[Message[Any], int]]:
        """The messages that are with this worker, oldest first, each with the number of its deliveries."""
        _, payloads, acks, deliveries = self._keys(queue)
        ids = cast("list[bytes]", list(cast("set[bytes]", self._redis.smembers(acks))))
        if not ids:
            return []
        found = zip(
            cast("list[bytes | None]", self._redis.hmget(payloads, cast("list[str]", ids))),
            cast("list[bytes | None]", self._redis.hmget(deliveries, cast("list[str]", ids))),
            strict=True,
        )
        messages = [
            (message, int(count or 0))
            for id_, (payload, count) in zip(ids, found, strict=True)
            if payload and (message := self.read(queue, id_.decode(), payload))
        ]
        return sorted(messages, key=lambda entry: entry[0].message_timestamp)

    def beat(self) -> None:
        """Tells the other workers that this one lives and keeps its messages."""
        self._redis.zadd(self._key("__heartbeats__"), {self._worker: current_millis()})

    def lost(self, silent_ms: int) -> list[Delivery]:
        """The workers of whom nothing was heard for so long, each ready to be recovered from."""
        before = current_millis() - silent_ms
        names = cast("list[bytes]", self._redis.zrangebyscore(self._key("__heartbeats__"), "-inf", before))
        return [Delivery(self._redis, namespace=self._namespace, worker=name.decode()) for name in names]

    def holds_nothing(self) -> bool:
        """Whether no message of any queue, known here or not, is with this worker."""
        pattern = self._key(f"__acks__.{self._worker}.*")
        return next(iter(self._redis.scan_iter(match=pattern, count=1000)), None) is None

    def expire(self, queue: str, older_than_ms: int) -> int:
        """Forgets dead letters of a queue that are older, some at a time; tells how many."""
        dead = self._key(f"{queue}.XQ")
        keys = [dead, f"{dead}.msgs"]
        return int(cast(int, self._expire(keys, [current_millis() - older_than_ms, MAX_FETCH])))

    def leave(self) -> None:
        """Takes this worker off the list of those that must not be silent."""
        self._redis.zrem(self._key("__heartbeats__"), self._worker)

    def _keys(self, queue: str) -> list[str]:
        name = self._key(queue)
        return [name, f"{name}.msgs", self._key(f"__acks__.{self._worker}.{queue}"), f"{name}.deliveries"]

    def _key(self, name: str) -> str:
        return f"{self._namespace}:{name}"

    def _script(self, name: str) -> redis.commands.core.Script:
        return self._redis.register_script((_SCRIPTS / f"{name}.lua").read_text())


def with_delayed(queues: Iterable[str]) -> list[str]:
    """The queues and those of their delayed messages."""
    return [name for queue in queues for name in (queue, dq_name(queue))]
