"""Removes waiting messages, each after its actor's on_failed was called.

While on_failed is called, a message is put aside as a delayed one, due in a minute: no worker claims it, and if this
process is killed, it becomes ready again by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import redis
from dramatiq import Broker, Message
from dramatiq.errors import ActorNotFound, BrokerConnectionError, DecodeError

from tandem.broker import codec, keys
from tandem.broker.connection import clock

logger = logging.getLogger(__name__)

# How long a message is put aside while its on_failed is called.
ASIDE_MS = 60_000
# After this many seconds of calling on_failed, the messages done are deleted and the others put aside again.
NOTIFY_SECONDS = 20.0
_SCRIPTS = Path(__file__).parent / "lua"


class Removal:
    """Removes messages of one queue. why: makes what their on_failed is told. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis, broker: Broker, queue: str, why: Callable[[], BaseException]) -> None:
        self._redis = client
        self._broker = broker
        self._queue = queue
        self._why = why
        self._put_ready, self._put_one, self._put_parked, self._put_delayed, self._forget = (
            client.register_script((_SCRIPTS / f"purge_{name}.lua").read_text())
            for name in ("ready", "one", "parked", "delayed", "forget")
        )

    def ready_aside(self, last: bytes, count: int) -> list[bytes]:
        """Put the first ready messages aside, at most `count`, up to the one with the id `last`; return their ids."""
        arguments: list[bytes | int] = [last, count, self._until()]
        return cast("list[bytes]", self._put_ready(self._names(keys.ready), arguments))

    def parked_aside(self, members: Sequence[bytes]) -> list[bytes]:
        """Put messages aside that wait for a limit, by their members of the set; return the ids of those that did."""
        return cast("list[bytes]", self._put_parked(self._names(keys.parked), [self._until(), *members]))

    def delayed_aside(self, ids: Sequence[bytes]) -> list[bytes]:
        """Put messages aside that are delayed; return the ids of those that are."""
        if not ids:
            return []
        return cast("list[bytes]", self._put_delayed([keys.delayed(self._queue)], [self._until(), *ids]))

    def one_aside(self, id_: bytes) -> bool:
        """Put one message aside, wherever it waits; return False if it does not wait."""
        if self._put_one(self._names(keys.ready), [id_, self._until()]):
            return True
        pattern = b"*\t" + glob_escaped(id_)
        for member, _ in self._redis.zscan_iter(keys.parked(self._queue), match=cast(str, pattern), count=1000):
            if cast(bytes, member).split(b"\t", 2)[2] == id_:
                return bool(self.parked_aside([cast(bytes, member)]))
        return False

    def finish(self, ids: list[bytes]) -> Iterator[int]:
        """Call on_failed for messages that are aside, and delete them; yield how many were deleted, batch by batch."""
        while ids:
            notified = self._notify(ids)
            names = [keys.delayed(self._queue), keys.payloads(self._queue), keys.deliveries(self._queue)]
            yield int(cast(int, self._forget(names, notified)))
            ids = self.delayed_aside(ids[len(notified) :])

    def _names(self, of: Callable[[str], str]) -> list[str]:
        return [of(self._queue), keys.delayed(self._queue)]

    def _until(self) -> int:
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
            message: Message[Any] | None = codec.decode(payload)
            on_failed = self._broker.get_actor(message.actor_name).options.get("on_failed") if message else None
        except (ActorNotFound, DecodeError, TypeError):
            return  # its actor, and so its on_failed, is unknown
        try:
            if on_failed and message:
                on_failed(message, self._why())
        except (redis.RedisError, BrokerConnectionError):
            raise
        except Exception:
            # A bug in a workload must not keep a queue from being emptied.
            logger.exception(
                "on_failed of %s failed for %s, which is removed nevertheless",
                message.actor_name if message else "?",
                message.message_id if message else "?",
            )


def glob_escaped(text: bytes) -> bytes:
    """Return the pattern of Redis that matches exactly this."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]^\\-" else bytes([byte]) for byte in text)
