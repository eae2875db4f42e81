"""Messages of workers that died: a successor brings back what its predecessor held, anyone what a lost host held."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dramatiq.errors import ActorNotFound

from app.queueing import payload, retries
from app.queueing.broker import Broker
from app.queueing.delivery import Delivery, Taken
from app.queueing.errors import PermanentError

logger = logging.getLogger(__name__)


class WorkerKilled(PermanentError):
    """A message took its workers with it too often."""


# A message that was with this many workers when they died is a suspect: it runs alone the next time.
SUSPECT_DELIVERIES = 2
# One that was delivered so often, and the last time was alone with a worker that died, becomes a dead letter.
MAX_DELIVERIES = 3


def recover(broker: Broker) -> list[Taken]:
    """Brings back what is held under this worker's name; only for a process that has not begun. Raises RedisError.

    The suspects stay with this worker and are returned: it runs them alone, one by one, before anything else, so that
    its death is proof.
    """
    suspects = []
    for queue, messages in _held(broker, broker.delivery).items():
        suspects += [taken for taken in messages if taken.number >= SUSPECT_DELIVERIES]
        _give_back(broker.delivery, queue, [taken for taken in messages if taken.number < SUSPECT_DELIVERIES])
    broker.delivery.forget_alone()
    return suspects


def bring_back(broker: Broker, lost: Iterable[str]) -> None:
    """Brings back what these workers hold, which are lost with their hosts. Raises RedisError."""
    for name in lost:
        delivery = broker.delivery.of(name)
        for queue, messages in _held(broker, delivery).items():
            _give_back(delivery, queue, messages)
        delivery.forget_alone()
        delivery.leave()


def forget_old_dead_letters(broker: Broker) -> None:
    """Forgets dead letters that were kept long enough, some at a time. Raises RedisError."""
    # Those of a queue that no actor uses any more as well. dramatiq's own clean-up asks Redis for all keys.
    kept_since = broker.delivery.now() - broker.failed_retention * 1000
    for queue in broker.get_declared_queues() | broker.dead_letters.queues():
        broker.dead_letters.expire(queue, kept_since)


def _held(broker: Broker, delivery: Delivery) -> dict[str, list[Taken]]:
    """What is with a worker that died, by queue, without the one that is proved to be deadly: it is buried."""
    held = {queue: delivery.held(queue) for queue in sorted(broker.get_declared_queues())}
    everything = [(queue, taken.id) for queue, messages in held.items() for taken in messages]
    alone = delivery.ran_alone() or (everything[0] if len(everything) == 1 else None)
    for queue, messages in held.items():
        for taken in messages:
            if (queue, taken.id) == alone and taken.number >= MAX_DELIVERIES:
                _bury(broker, delivery, taken)
                held[queue] = [other for other in messages if other is not taken]
    return held


def _give_back(delivery: Delivery, queue: str, messages: list[Taken]) -> None:
    if count := delivery.give_back(queue, [taken.id for taken in messages], untouched=False):
        logger.warning("brought %d messages of %s back from %s, which died", count, queue, delivery.worker)


def _bury(broker: Broker, delivery: Delivery, taken: Taken) -> None:
    message = payload.read(taken.payload)
    if message is None:
        delivery.settle(taken.queue, [retries.unreadable(taken)])
        return
    reason = WorkerKilled(f"{taken.number} workers died while they handled this message")
    logger.error("gave up %s of %s: %s", message.message_id, message.actor_name, reason)
    try:
        on_failed = broker.get_actor(message.actor_name).options.get("on_failed")
    except ActorNotFound:
        on_failed = None
    # First the one who waits for it hears of it, then it leaves the queue: the other way round a death in between
    # would leave a failure that nobody was told.
    retries.tell(on_failed, message, reason)
    retries.note_attempt(message, reason, delivery.worker)
    delivery.settle(taken.queue, [retries.dead_letter(taken, message, reason)])
