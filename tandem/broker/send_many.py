"""Sends many messages to one actor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, cast

import dramatiq


def send_many(
    actor: dramatiq.Actor[..., Any],
    arguments: Iterable[Sequence[Any]],
    *,
    spread: timedelta | None = None,
    **options: Any,
) -> list[dramatiq.Message[Any]]:
    """Send a message with each of these lists of arguments; return the messages.

    spread: they become due one after the other within this time. options: of all messages, as of `send_with_options`.
    Raises as Broker.enqueue_many, and TypeError for an actor of another broker.
    """
    enqueue_many = getattr(actor.broker, "enqueue_many", None)
    if enqueue_many is None:
        raise TypeError(f"the actor {actor.actor_name} belongs to another broker: {type(actor.broker).__name__}")
    messages = [actor.message_with_options(args=tuple(each), **options) for each in arguments]
    delays = None
    if spread is not None:
        step = spread.total_seconds() * 1000 / max(1, len(messages))
        delays = [round(number * step) for number in range(len(messages))]
    return cast("list[dramatiq.Message[Any]]", enqueue_many(messages, delays=delays))
