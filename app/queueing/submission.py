"""A message together with the record that people will ask for, and with the key by which a request is known again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """A hash in Redis: its key and its fields, and the sorted set in which it stands as `member`, all scores 0."""

    key: str
    fields: Mapping[str, str | int]
    index: str
    member: str


@dataclass(frozen=True)
class Once:
    """A key in Redis under which a request is remembered for so many seconds, with what is said of it then."""

    key: str
    value: str
    seconds: int


class QueueFull(Exception):
    """As many messages wait as may; the text says how many, and that the next ones are taken later."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting:,} messages wait already, and no more are taken until some of them are handled")
        self.waiting = waiting
