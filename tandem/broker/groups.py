"""dramatiq's group, whose messages are sent in batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dramatiq

from tandem.broker.broker import Broker


class group(dramatiq.group):  # dramatiq's name
    """A group of messages, pipelines and groups as dramatiq's, which differs in how it is sent.

    One round trip sends up to 500 messages, all or none of them. dramatiq's sends one after the other, and a process
    that dies in between leaves a part of the group.
    """

    def __init__(self, children: Iterable[Any], *, broker: dramatiq.Broker | None = None) -> None:
        super().__init__(children, broker=broker)  # type: ignore[no-untyped-call]

    def run(self, *, delay: Any = None) -> group:
        """Send the messages, each after `delay` ms if given. Raises as Broker.enqueue_many."""
        if not isinstance(self.broker, Broker):
            raise TypeError(f"the group belongs to another broker: {type(self.broker).__name__}")
        with self.broker.together():
            super().run(delay=delay)  # type: ignore[no-untyped-call]
        return self
