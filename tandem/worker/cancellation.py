"""Interrupts running messages that an operator has canceled, as the time limit does."""

from __future__ import annotations

import logging
from typing import cast

import redis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.connection import name, raw
from tandem.worker.time_limit import TimeLimit

logger = logging.getLogger(__name__)


def interrupt_canceled(broker: Broker) -> None:
    """Interrupt what this worker was asked to. Called with each heartbeat. Raises redis.RedisError."""
    key = keys.canceled(broker.worker)
    for member in cast("set[bytes]", broker.client.smembers(key)):
        queue, _, id_ = name(member).partition("\t")
        if _interrupt(broker, id_) or broker.client.zscore(keys.claimed(broker.worker, queue), raw(id_)) is None:
            broker.client.srem(key, cast(str, member))


def _interrupt(broker: Broker, id_: str) -> bool:
    """Return whether the message is interrupted; one that is claimed and about to run is asked for again."""
    thread = broker.in_flight.thread_of(id_)
    if thread is None or not broker.middleware_of(TimeLimit).cancel(thread, lambda: broker.in_flight.thread_of(id_)):
        return False
    logger.warning("interrupting %s, which an operator has canceled", id_)
    return True


def forget_requests(client: redis.Redis, worker: str) -> None:
    """Forget what a predecessor of this name was asked. Raises redis.RedisError."""
    client.delete(keys.canceled(worker))
