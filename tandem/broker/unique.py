"""Unique messages: a second one with the same key is not sent while the first one waits, or until it has ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dramatiq import Message, Middleware

from tandem.broker import message_keys

UNTIL = ("start", "end")
ON_DUPLICATE = ("drop", "replace", "error")


class DuplicateMessage(Exception):
    """A message with the same key is in the queue, and its actor has `on_duplicate="error"`."""


@dataclass(frozen=True)
class Unique:
    """How a message is unique. `id`: its id in the queue, which contains the key."""

    id: str
    until: Literal["start", "end"]
    on_duplicate: Literal["drop", "replace", "error"]


class UniqueOptions(Middleware):
    """Defines the options of unique messages; the broker acts on them.

    unique: True for the actor's name with all arguments, or a function of the arguments that returns the key, at most
    1,000 characters. until: `end` (a running one counts, and one that waits for a retry) or `start`. on_duplicate:
    `drop`, `replace` (the one that waits gets the new arguments; only with until="start") or `error`.
    """

    @property
    def actor_options(self) -> set[str]:
        return {"unique", "until", "on_duplicate"}


def unique_of(message: Message[Any], options: Mapping[str, Any]) -> Unique | None:
    """Return how a message is unique, if it is. `options`: the actor's.

    Raises ValueError if the key cannot be made.
    """
    chosen = options.get("unique")
    if not chosen:
        return None
    key = message_keys.make(message, "unique", chosen if callable(chosen) else _of_arguments)
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]
    return Unique(f"{message.actor_name}~{digest}", options.get("until", "end"), options.get("on_duplicate", "drop"))


def _of_arguments(*arguments: Any, **more: Any) -> str:
    text = json.dumps([arguments, more], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
