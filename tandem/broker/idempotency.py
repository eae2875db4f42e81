"""A job record that is stored together with its message, and the key that makes a request idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dramatiq.errors import BrokerConnectionError


@dataclass(frozen=True)
class Quota:
    """A hash in Redis with the bytes of each record by its `member`, and of all as `total`, at most `most` (0: any).

    The code that changes or removes the record has to update the count.
    """

    key: str
    member: str
    bytes: int
    most: int


@dataclass(frozen=True)
class JobRecord:
    """A hash in Redis: its key and its fields, and the sorted set that contains it as `member`, all scores 0.

    quota: where its bytes are counted, if anywhere.
    """

    key: str
    fields: Mapping[str, str | int]
    index: str
    member: str
    quota: Quota | None = None


@dataclass(frozen=True)
class IdempotencyKey:
    """A key in Redis that remembers a request for `seconds`, with the value that a repeated request returns."""

    key: str
    value: str
    seconds: int


class QueueFull(Exception):
    """The queue has reached its limit of waiting messages."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"the queue is full: {waiting:,} messages are waiting; try again when some have been handled")
        self.waiting = waiting


class QuotaExceeded(Exception):
    """The stored records leave no room for this one; `stored`: their bytes."""

    def __init__(self, stored: int) -> None:
        super().__init__(f"the quota is used up: {stored:,} bytes are stored; try again when some have been released")
        self.stored = stored


class DiskFull(BrokerConnectionError):
    """The disk of the queue is nearly full, so new messages are refused; accepted ones are still handled."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)  # type: ignore[no-untyped-call]
