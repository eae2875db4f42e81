"""Decodes messages from Redis, where any client can have written any bytes."""

from __future__ import annotations

from typing import Any

from dramatiq import Message
from dramatiq.errors import DecodeError

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "queue_name": str,
    "actor_name": str,
    "kwargs": dict,
    "options": dict,
    "message_id": str,
    "message_timestamp": (int, float),
}


def decode(payload: bytes) -> Message[Any] | None:
    """Return the message of a payload, or None if it is not a valid message."""
    try:
        message = Message.decode(payload)
        # The decoder accepts any value in the fields, including lone surrogates, which no name may contain.
        f"{message.queue_name}{message.actor_name}{message.message_id}".encode()
    except (DecodeError, UnicodeEncodeError):
        return None
    return message if all(isinstance(getattr(message, name), type_) for name, type_ in _FIELDS.items()) else None
