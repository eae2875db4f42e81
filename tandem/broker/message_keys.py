"""Keys of messages: what a function of an actor's option makes of the arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq import Message

MAX_KEY = 1_000


def make(message: Message[Any], option: str, function: Callable[..., object]) -> str:
    """Return the key of a message, at most MAX_KEY characters. `option`: the name of the actor's option.

    Raises ValueError if the function raises anything, or the key is longer.
    """
    try:
        key = str(function(*message.args, **message.kwargs))
    except Exception as error:
        raise ValueError(
            f"the option {option} of {message.actor_name} failed: {type(error).__name__}: {error}"
        ) from error
    if len(key) > MAX_KEY:
        raise ValueError(f"the key of {message.actor_name} has {len(key):,} characters: expected at most {MAX_KEY:,}")
    return key
