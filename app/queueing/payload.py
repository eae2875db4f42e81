"""What comes as a message out of Redis, where anyone can put anything."""

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


def read(payload: bytes) -> Message[Any] | None:
    """The message of a payload, or None where it is none that could be handled."""
    try:
        message = Message.decode(payload)
        # The decoder takes whatever stands in the fields, also halves of characters, which no name can have.
        f"{message.queue_name}{message.actor_name}{message.message_id}".encode()
    except (DecodeError, UnicodeEncodeError):
        return None
    return message if all(isinstance(getattr(message, name), type_) for name, type_ in _FIELDS.items()) else None
