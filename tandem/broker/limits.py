"""Limits of actors: how many of their messages run at the same time, or start in a time, over all containers.

A limit is for all messages of an actor, or for those with one key. A message beyond it is parked in Redis, see
lua/lanes.lua: it uses no attempt, and holds up no other message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dramatiq import Actor, Message, Middleware

from tandem.broker import message_keys, rate
from tandem.broker.rate import Rate

#: The option of a message that holds its key.
KEY = "limit_key"
KEY_FUNCTIONS = ("concurrency_key", "rate_key")
# What lanes.lua expects; any other key is replaced by its digest.
_PLAIN = re.compile(r"[A-Za-z0-9._@-]{0,64}")
NO_RATE = Rate(0, 0)


@dataclass(frozen=True)
class Limit:
    """The limits of an actor. max_concurrency: 0 for none. keyed: each key has these limits of its own."""

    actor: str
    max_concurrency: int
    rate: Rate
    keyed: bool

    def __str__(self) -> str:
        each = " of each key" if self.keyed else ""
        parts = [f"one of the {self.max_concurrency} places{each}"] if self.max_concurrency else []
        return " and ".join([*parts, *([f"the rate {self.rate}{each}"] if self.rate.count else [])])


class LimitOptions(Middleware):
    """Defines the options of limits; the worker acts on them.

    max_concurrency: how many messages run at the same time. rate: how many start in a time, such as 10/s.
    concurrency_key, rate_key: a function of the arguments that returns the key, at most 1,000 characters; each key
    then has the limit of its own. An actor with both limits has one function for both.
    """

    @property
    def actor_options(self) -> set[str]:
        return {"max_concurrency", "rate", *KEY_FUNCTIONS}


def by_queue(actors: Iterable[Actor[..., Any]]) -> dict[str, list[Limit]]:
    """Return the limits of the actors of each queue that has any. Raises ValueError for an invalid rate."""
    found: dict[str, list[Limit]] = {}
    for actor in actors:
        options = actor.options
        most, text = options.get("max_concurrency") or 0, options.get("rate")
        if most or text:
            limit = Limit(
                actor.actor_name,
                most,
                rate.parse(text) if text else NO_RATE,
                keyed=any(options.get(name) for name in KEY_FUNCTIONS),
            )
            found.setdefault(actor.queue_name, []).append(limit)
    return found


def key_of(message: Message[Any], options: Mapping[str, Any]) -> str | None:
    """Return the key of a message, at most 64 plain characters, if its actor has keys. `options`: the actor's.

    Raises ValueError if it cannot be made.
    """
    option = next((name for name in KEY_FUNCTIONS if options.get(name)), None)
    if option is None:
        return None
    key = message_keys.make(message, option, options[option])
    return key if _PLAIN.fullmatch(key) else hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
