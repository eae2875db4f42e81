"""Interrupts running messages that an operator has canceled, as the time limit does."""

from __future__ import annotations

import logging
from typing import cast

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.connection import name, raw
from tandem.operate import message_control
from tandem.worker.time_limit import TimeLimit

logger = logging.getLogger(__name__)


def interrupt_canceled(broker: Broker) -> None:
    """Interrupt what this worker was asked to. Called with each heartbeat. Raises redis.RedisError."""
    key = keys.canceled(broker.worker)
    for member in cast("set[bytes]", broker.client.smembers(key)):
        queue, _, id_ = name(member).partition("\t")
        if _interrupt(broker, id_) or _has_left(broker, queue, id_):
            broker.client.srem(key, cast(str, member))


def _interrupt(broker: Broker, id_: str) -> bool:
    """Return whether the message is interrupted; one that is claimed and about to run is asked for again."""
    thread = broker.in_flight.thread_of(id_)
    if thread is None or not broker.middleware_of(TimeLimit).cancel(thread, lambda: broker.in_flight.thread_of(id_)):
        return False
    logger.warning("interrupting %s, which an operator has canceled", id_)
    return True


def _has_left(broker: Broker, queue: str, id_: str) -> bool:
    """Return whether this worker has the message no longer; one that was given back or is retried is canceled there."""
    if broker.client.zscore(keys.claimed(broker.worker, queue), raw(id_)) is not None:
        return False
    # A message that has ended has no count: one with the same id is a new one, which nobody has canceled.
    if broker.client.hexists(keys.deliveries(queue), raw(id_)) or _waits_for_retry(broker, queue, id_):
        answer = message_control.cancel(broker.client, broker, broker.get_declared_queues(), id_)
        logger.warning("%s, which an operator has canceled, had left this worker: %s", id_, answer)
    return True


def _waits_for_retry(broker: Broker, queue: str, id_: str) -> bool:
    return broker.client.zscore(keys.delayed(queue), raw(id_)) is not None
