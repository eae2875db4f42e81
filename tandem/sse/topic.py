"""Topics: how a workload's records are read and where their changes are published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """The state of a record.

    version: a number that differs after each change, the event's id. name: its type. data: one line of JSON. last:
    whether the record will not change any more.
    """

    version: int
    name: str
    data: str
    last: bool


@dataclass(frozen=True)
class Topic:
    """One kind of records.

    channel: the channel of Redis on which changes of the record with this id are published, with any content.
    read: the current state of these records, in their order, None for a missing one. Raises redis.RedisError.
    """

    channel: Callable[[str], str]
    read: Callable[[Sequence[str]], Sequence[Event | None]]
