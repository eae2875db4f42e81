"""QUEUE_TRANSPORT=sync: a message is handled where it is sent, before `send` returns. For development and tests."""

from __future__ import annotations

import os
import time
from typing import Any

import dramatiq
import redis
from dramatiq.errors import ConnectionClosed

from app.queueing.broker import Broker
from app.queueing.runner import Runner
from app.queueing.submission import Once, Record


class SyncBroker(Broker):
    """Sends a message as the other one does and handles it at once, by the same scripts and the same rules.

    A retry is waited for here, and a message that failed for good becomes a dead letter; nothing is raised to the one
    who sent it. A delay that was asked for is not waited for.
    """

    _booted = 0

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Sends a message and returns when it has been handled. Raises ConnectionClosed."""
        message = super().enqueue(message)
        self._handle_here(message)
        return message

    def submit(
        self, message: dramatiq.Message[Any], record: Record, *, once: Once | None = None, most_waiting: int
    ) -> str | None:
        """Does the same with a message that has a record. Raises ConnectionClosed and QueueFull."""
        known = super().submit(message, record, once=once, most_waiting=most_waiting)
        if known is None:
            self._handle_here(message)
        return known

    def resent(self, queue: str, ids: list[str]) -> None:
        """Handles dead letters that were sent again."""
        for id_ in ids:
            self._handle(queue, id_)

    def sent_along(self, message: dramatiq.Message[Any]) -> None:
        """Handles a message that a script may have sent. Raises ConnectionClosed."""
        self._handle_here(message)

    def _handle_here(self, message: dramatiq.Message[Any]) -> None:
        try:
            self._handle(message.queue_name, message.message_id)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error

    def _handle(self, queue: str, id_: str) -> None:
        if self._booted != os.getpid():
            # Here and not when it is made: threads that were started before a fork are not in the child.
            self._booted = os.getpid()
            self.emit_after("process_boot")
        while taken := self.delivery.take(queue, id_):
            outcome = Runner(self).run(taken)
            self.delivery.settle(queue, [outcome])
            if outcome.result == "retried":
                time.sleep(int(outcome.detail) / 1000)
