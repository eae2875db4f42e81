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


class SyncBroker(Broker):
    """Sends a message as the other one does and handles it at once, by the same scripts and the same rules.

    A retry is waited for here, and a message that failed for good becomes a dead letter; nothing is raised to the one
    who sent it. A delay that was asked for is not waited for.
    """

    _booted = 0

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Sends a message and returns when it has been handled. Raises ConnectionClosed."""
        message = super().enqueue(message)
        if self._booted != os.getpid():
            # Here and not when it is made: threads that were started before a fork are not in the child.
            self._booted = os.getpid()
            self.emit_after("process_boot")
        try:
            self._handle(message.queue_name, message.message_id)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        return message

    def _handle(self, queue: str, id_: str) -> None:
        while taken := self.delivery.take(queue, id_):
            outcome = Runner(self).run(taken)
            self.delivery.settle(queue, [outcome])
            if outcome.result == "retried":
                time.sleep(int(outcome.detail) / 1000)
