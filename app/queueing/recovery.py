"""What a worker does first: it brings back what its predecessor held when it died."""

from __future__ import annotations

import logging
from typing import Any

from dramatiq import Message
from dramatiq.errors import ActorNotFound

from app.queueing.broker import Broker
from app.queueing.delivery import MAX_DELIVERIES, with_delayed
from app.queueing.errors import PermanentError

logger = logging.getLogger(__name__)


class WorkerKilled(PermanentError):
    """A message took its workers with it too often."""


def recover(broker: Broker) -> None:
    """Puts the messages that are held under this worker's name back at the heads of their queues, in order.

    One that was with a worker that died for the third time becomes a dead letter, because it may well be the cause.
    Raises redis.RedisError.
    """
    for queue in with_delayed(broker.get_declared_queues()):
        alive = []
        for message, deliveries in broker.delivery.held(queue):
            if deliveries >= MAX_DELIVERIES and queue in broker.get_declared_queues():
                _bury(broker, queue, message, deliveries)
            else:
                alive.append(message.options["redis_message_id"])
        if count := broker.delivery.give_back(queue, alive, untouched=False):
            logger.warning("brought %d messages of %s back that were with a worker that died", count, queue)


def _bury(broker: Broker, queue: str, message: Message[Any], deliveries: int) -> None:
    reason = WorkerKilled(f"{deliveries} workers died while they handled this message")
    logger.error("gave up %s of %s: %s", message.message_id, message.actor_name, reason)
    message.options["traceback"] = f"{type(reason).__name__}: {reason}"
    try:
        on_failed = broker.get_actor(message.actor_name).options.get("on_failed")
    except ActorNotFound:
        on_failed = None
    # First the one who waits for it hears of it, then it leaves the queue: the other way round a death in between
    # would leave a failure that nobody was told.
    if on_failed:
        on_failed(message, reason)
    broker.delivery.bury(queue, message.options["redis_message_id"], message.encode())
