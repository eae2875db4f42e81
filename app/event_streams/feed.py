"""What a workload says of the records whose changes can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """How a record is.

    version: another number after each change, the event's id. name: its type. data: one line of JSON. last: whether
    nothing will change any more.
    """

    version: int
    name: str
    data: str
    last: bool


@dataclass(frozen=True)
class Feed:
    """One kind of records.

    channel: Redis's channel on which the changes of the record with this id are told; what is told does not matter.
    read: how these records are now, in their order, None for one that is gone. Raises redis.RedisError.
    """

    channel: Callable[[str], str]
    read: Callable[[Sequence[str]], Sequence[Event | None]]
