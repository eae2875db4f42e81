"""Requeue messages of dead workers: a restarted worker those of its predecessor, any worker those of a lost host."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dramatiq.errors import ActorNotFound

from tandem.broker import codec
from tandem.broker.broker import Broker
from tandem.broker.errors import PermanentError
from tandem.broker.store import Delivery, MessageStore
from tandem.operate import restarts
from tandem.worker import attempt
from tandem.worker.attempt import Attempt

logger = logging.getLogger(__name__)


class WorkerKilled(PermanentError):
    """The message has killed its workers too often."""


# A message is quarantined when this many of its deliveries ended with a worker's death: its next run is isolated.
QUARANTINE_DELIVERIES = 2
# A message that was delivered this often and killed its worker in an isolated run becomes a dead letter.
MAX_DELIVERIES = 3


def recover(broker: Broker) -> list[Delivery]:
    """Requeue the messages claimed under this worker's name, before it claims any itself. Raises RedisError.

    Quarantined messages stay claimed and are returned: the worker runs them isolated, one by one, before any other, so
    that its death would be proof.
    """
    quarantined = []
    for queue, messages in _claimed_by_dead(broker, broker.store).items():
        quarantined += [delivery for delivery in messages if delivery.delivery_count >= QUARANTINE_DELIVERIES]
        _requeue(
            broker.store, queue, [delivery for delivery in messages if delivery.delivery_count < QUARANTINE_DELIVERIES]
        )
    broker.store.clear_isolated()
    return quarantined


def requeue_of_lost(broker: Broker, lost: Iterable[str]) -> None:
    """Requeue the messages of these workers, which are lost with their hosts. Raises RedisError."""
    for name in lost:
        store = broker.store.for_worker(name)
        for queue, messages in _claimed_by_dead(broker, store).items():
            _requeue(store, queue, messages)
        store.clear_isolated()
        restarts.note_death(broker.client, name)
        store.deregister()


def expire_dead_letters(broker: Broker) -> None:
    """Remove dead letters older than the retention, some at a time. Raises RedisError."""
    # Also those of queues that no actor uses any more. dramatiq's own clean-up scans all keys of Redis.
    kept_since = broker.store.now() - broker.binding.failed_retention * 1000
    for queue in broker.get_declared_queues() | broker.dead_letters.queues():
        broker.dead_letters.expire(queue, kept_since)


def _claimed_by_dead(broker: Broker, store: MessageStore) -> dict[str, list[Delivery]]:
    """Return the messages of a dead worker by queue, without a proven poison message, which is dead-lettered."""
    claimed = {queue: store.claimed(queue) for queue in sorted(broker.get_declared_queues())}
    ids = [(queue, delivery.id) for queue, messages in claimed.items() for delivery in messages]
    isolated = store.isolated() or (ids[0] if len(ids) == 1 else None)
    for queue, messages in claimed.items():
        for delivery in messages:
            if (queue, delivery.id) == isolated and delivery.delivery_count >= MAX_DELIVERIES:
                _dead_letter(broker, store, delivery)
                claimed[queue] = [other for other in messages if other is not delivery]
    return claimed


def _requeue(store: MessageStore, queue: str, messages: list[Delivery]) -> None:
    if count := store.requeue(queue, [delivery.id for delivery in messages], untouched=False):
        logger.warning("requeued %d messages of %s from %s, which died", count, queue, store.worker)


def _dead_letter(broker: Broker, store: MessageStore, delivery: Delivery) -> None:
    decoded = codec.decode(delivery.payload)
    if decoded is None:
        store.ack(delivery.queue, [attempt.undecodable(delivery)])
        return
    message = Attempt(decoded)
    reason = WorkerKilled(f"{delivery.delivery_count} workers died while they handled this message")
    logger.error("gave up %s of %s: %s", message.message_id, message.actor_name, reason)
    try:
        on_failed = broker.get_actor(message.actor_name).options.get("on_failed")
    except ActorNotFound:
        on_failed = None
    message.fail()
    message.stuff_exception(reason)
    # Called before the message leaves the queue: in the opposite order, a death in between would leave a failure that
    # was never reported.
    broker.emit_before("nack", message)
    attempt.notify(on_failed, message, reason, what="on_failed")
    broker.emit_after("nack", message)
    message.note(reason, store.worker)
    store.ack(delivery.queue, [attempt.dead_letter(delivery, message, reason)])
    if broker.reporter is not None:
        broker.reporter.send(broker.reporter.describe(message, reason, worker=store.worker))
