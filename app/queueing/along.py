"""A message that goes along with what a script of a workload stores: both are there or neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.queueing import keys

#: Lua that such a script begins with. It then calls `enqueue(keys, arguments)` with those of an Along.
ENQUEUE = (Path(__file__).parent / "scripts" / "enqueue.lua").read_text()


@dataclass(frozen=True)
class Along:
    """A message for such a script; `sent` is to be called behind it, whether the script has sent it or not.

    Middleware does not hear of it, as it does of other messages that are sent.
    """

    keys: list[str]
    arguments: list[str | bytes | int]
    sent: Callable[[], None]


def enqueue_keys(queue: str) -> list[str]:
    """The keys that `enqueue` takes."""
    return [keys.payloads(queue), keys.ready(queue), keys.delayed(queue), keys.bell(queue), keys.QUEUES]


def enqueue_arguments(queue: str, id_: str, payload: bytes, delay: int | None = None) -> list[str | bytes | int]:
    """The arguments that it takes. `delay`: ms."""
    return [queue, id_, payload, -1 if delay is None else delay]
