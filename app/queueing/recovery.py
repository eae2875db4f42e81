"""Messages of workers that died: a successor brings back what its predecessor held, anyone what a lost host held."""

from __future__ import annotations

import logging
from typing import Any

from dramatiq import Message
from dramatiq.errors import ActorNotFound

from app.queueing.broker import Broker
from app.queueing.delivery import MAX_DELIVERIES, Delivery, with_delayed
from app.queueing.errors import PermanentError

logger = logging.getLogger(__name__)


class WorkerKilled(PermanentError):
    """A message took its workers with it too often."""


# A worker of whom nothing was heard for so long is lost, and its host with it: supervisor would have replaced it.
LOST_AFTER_MS = 60_000
# dramatiq keeps dead letters for as long; its own clean-up is not used, because it asks Redis for all keys.
DEAD_LETTERS_KEPT_MS = 7 * 86_400_000


# A message that was with this many workers when they died runs alone the next time: only a death alone is proof.
SUSPECT_DELIVERIES = 2


def recover(broker: Broker) -> int:
    """Brings back what is held under this worker's name. Only for a process that has not begun. Raises RedisError.

    Returns how many of these messages are suspects and have to run alone.
    """
    return _recover(broker, broker.delivery)


def tidy(broker: Broker) -> None:
    """Brings back what lost workers hold and forgets old dead letters. Any worker may, any time. Raises RedisError."""
    # Whoever has only ever sent messages is among them as well: it holds nothing, and is forgotten.
    for lost in broker.delivery.lost(LOST_AFTER_MS):
        _recover(broker, lost)
        if lost.holds_nothing():
            lost.leave()
    for queue in broker.get_declared_queues():
        broker.delivery.expire(queue, DEAD_LETTERS_KEPT_MS)


def _recover(broker: Broker, delivery: Delivery) -> int:
    """Puts the messages that are with a worker back at the heads of their queues, in order; counts the suspects.

    One that was alone with the worker that died, and that is its third death, becomes a dead letter.
    """
    declared = broker.get_declared_queues()
    held = {queue: delivery.held(queue) for queue in with_delayed(declared)}
    handled = [deliveries for queue in declared for _, deliveries in held[queue]]
    for queue, messages in held.items():
        alive = []
        for message, deliveries in messages:
            if queue in declared and len(handled) == 1 and deliveries >= MAX_DELIVERIES:
                _bury(broker, delivery, queue, message, deliveries)
                handled.clear()
            else:
                alive.append(message.options["redis_message_id"])
        if count := delivery.give_back(queue, alive, untouched=False):
            logger.warning("brought %d messages of %s back from %s, which died", count, queue, delivery.worker)
    return sum(deliveries >= SUSPECT_DELIVERIES for deliveries in handled)


def _bury(broker: Broker, delivery: Delivery, queue: str, message: Message[Any], deliveries: int) -> None:
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
    delivery.bury(queue, message.options["redis_message_id"], message.encode())
