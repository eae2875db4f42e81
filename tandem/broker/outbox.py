"""A transactional outbox: a message that a workload's script enqueues together with its own data, both or neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tandem.broker import keys
from tandem.broker.scripts import script

#: Lua that such a script begins with. It then calls `enqueue(keys, arguments)` with those of an OutboxMessage.
ENQUEUE = script("notify") + script("enqueue")


@dataclass(frozen=True)
class OutboxMessage:
    """A message for such a script; call `sent` after the script, whether it has enqueued the message or not.

    Unlike for other messages, the middleware's enqueue hooks are not called.
    """

    keys: list[str]
    arguments: list[str | bytes | int]
    sent: Callable[[], None]


def enqueue_keys(queue: str) -> list[str]:
    """Return the keys that `enqueue` expects."""
    return [keys.payloads(queue), keys.ready(queue), keys.delayed(queue), keys.notify(queue), keys.QUEUES]


def enqueue_arguments(queue: str, id_: str, payload: bytes, delay: int | None = None) -> list[str | bytes | int]:
    """Return the arguments that `enqueue` expects. `delay`: ms."""
    return [queue, id_, payload, -1 if delay is None else delay]
