"""Functions with which an actor can query the message that it is running for."""

from __future__ import annotations

from datetime import UTC, datetime

import dramatiq
from dramatiq.middleware import CurrentMessage

from tandem.broker.broker import Broker
from tandem.worker.retries import Retries


def should_yield(reserve: float, *, begun: bool = True) -> bool:
    """Return whether the actor should raise Snooze before it starts a step of at most `reserve` seconds.

    It should if the step could exceed the time limit, and if its worker is about to stop. `begun`: whether this
    delivery has done a step. The first step is always done unless the worker is stopped from outside, because otherwise
    every delivery could get this far and no further.
    """
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        return False
    if not begun:
        return broker.draining.is_set() and not broker.over_memory_limit.is_set()
    running = broker.in_flight.current()
    return broker.draining.is_set() or (running is not None and running.seconds + reserve > running.limit)


def seconds_left() -> float:
    """Return how long the message on this thread may still run; infinity outside of a worker."""
    broker = dramatiq.get_broker()
    running = broker.in_flight.current() if isinstance(broker, Broker) else None
    return running.limit - running.seconds if running else float("inf")


def is_stopping() -> bool:
    """Return whether this process's worker has stopped claiming messages. Thread-safe."""
    broker = dramatiq.get_broker()
    return isinstance(broker, Broker) and broker.draining.is_set()


def scheduled_at() -> datetime | None:
    """Return the tick for which a schedule has sent the message on this thread, in UTC; None if none did."""
    message = CurrentMessage.get_current_message()
    tick = message.options.get("scheduled_at") if message is not None else None
    return None if tick is None else datetime.fromtimestamp(tick, UTC)


def is_last_attempt() -> bool:
    """Return whether the message on this thread becomes a dead letter if it fails again."""
    message, broker = CurrentMessage.get_current_message(), dramatiq.get_broker()
    if message is None or not isinstance(broker, Broker):
        return True
    chosen = {**broker.get_actor(message.actor_name).options, **message.options}
    return broker.middleware_of(Retries).is_exhausted(message.options.get("retries", 0), chosen)


def is_replay() -> bool:
    """Return whether the message on this thread was a dead letter that `queue failed retry` has requeued."""
    message = CurrentMessage.get_current_message()
    return message is not None and message.options.get("resent", 0) > 0
