"""Sends many messages in batches, each with one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import redis
from dramatiq import Message
from dramatiq.errors import ConnectionClosed
from dramatiq.message import generate_unique_id

from tandem.broker.store import MAX_BATCH, NewMessage

if TYPE_CHECKING:
    from tandem.broker.broker import Broker

#: A message and its delay (ms), if any.
Pair = tuple[Message[Any], int | None]


def enqueue_in_batches(broker: Broker, pairs: list[Pair]) -> list[Message[Any]]:
    """Send the messages; return them as sent. All of a batch or none of it is sent.

    Raises dramatiq's ConnectionClosed, and DiskFull, after the batches before were sent.
    """
    sent: list[Message[Any]] = []
    for begin in range(0, len(pairs), MAX_BATCH):
        sent += _enqueue(broker, pairs[begin : begin + MAX_BATCH])
    return sent


def another_id(message_id: str) -> str:
    """Return an id for the queue, in which the message's own one is taken."""
    return f"{message_id}+{generate_unique_id()[:8]}"


def _enqueue(broker: Broker, pairs: list[Pair]) -> list[Message[Any]]:
    if not broker.in_flight.running():
        broker.require_disk_space()
    now = broker.store.clock.now()
    # Hooks may change a message, which is the caller's; copying takes as long as everything else together.
    hooks = broker.hooks("before_enqueue")
    messages = [
        broker.as_sent(
            message.copy(options={} if delay is None else {"eta": now + delay})
            if hooks or delay is not None
            else message
        )
        for message, delay in pairs
    ]
    _call_hooks(broker, "before_enqueue", messages, pairs)
    new = [
        NewMessage(message.queue_name, message.message_id, message.encode(), delay)
        for message, (_, delay) in zip(messages, pairs, strict=True)
    ]
    taken = _repeated([(one.queue, one.id) for one in new])
    try:
        while taken or (taken := broker.store.enqueue_many(new)):
            for place in taken:
                new[place] = new[place]._replace(id=another_id(messages[place].message_id))
            taken = []
    except redis.RedisError as error:
        raise ConnectionClosed(error) from error
    _call_hooks(broker, "after_enqueue", messages, pairs)
    return messages


def _call_hooks(broker: Broker, hook: str, messages: list[Message[Any]], pairs: list[Pair]) -> None:
    """Call a hook for each message, where there is a middleware that has it."""
    if not broker.hooks(hook):
        return
    moment, _, signal = hook.partition("_")
    emit = broker.emit_before if moment == "before" else broker.emit_after
    for message, (_, delay) in zip(messages, pairs, strict=True):
        emit(signal, message, delay)


def _repeated(values: Sequence[object]) -> list[int]:
    """Return the places of the values that stand before as well."""
    first = {value: place for place, value in reversed(list(enumerate(values)))}
    return [place for place, value in enumerate(values) if first[value] != place]
