"""Messages that wait in an outbox elsewhere, such as a table of a database, and are sent from there, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import dramatiq
import redis
from dramatiq import Message

from tandem.broker import keys
from tandem.broker.batches import another_id
from tandem.broker.connection import name
from tandem.broker.outbox import ENQUEUE, enqueue_arguments, enqueue_keys
from tandem.broker.scripts import script
from tandem.broker.unique import Unique

# Longer than any database is away while a message has been sent and is still in its outbox (seconds).
MARK_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class Relayed:
    """A message as it is stored in an outbox. key: its own one. due: when (ms by the clock of Redis), if it is delayed.

    until, on_duplicate: how it is unique, or ''.
    """

    key: str
    queue: str
    id: str
    payload: bytes
    due: int | None = None
    until: str = ""
    on_duplicate: str = ""


class UnitOfWork(Protocol):
    """What runs actors and keeps the messages that they send: a transaction for each message (tandem.sql)."""

    def run(self, actor: dramatiq.Actor[..., Any], message: Any) -> Any:
        """Call the actor; return what it returns. Raises what it raises."""

    def keep(self, make: Callable[[], Relayed]) -> bool:
        """Store the message in the outbox of the running transaction; return False if there is none."""


def relayed(message: Message[Any], due: int | None, unique: Unique | None) -> Relayed:
    """Return a message in the form in which an outbox stores it."""
    id_ = unique.id if unique else message.message_id
    kind = (unique.until, unique.on_duplicate) if unique else ("", "")
    return Relayed(uuid4().hex, message.queue_name, id_, message.encode(), due, *kind)


class RelayedMessages:
    """Sends such messages. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._text = ENQUEUE + script("enqueue_unique") + script("enqueue_relayed")
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def send(self, messages: Sequence[Relayed], now: int) -> list[str]:
        """Send messages in their order, with one round trip; return the id of each in its queue, or ''.

        now: the time of Redis in ms.
        """
        try:
            return self._send(messages, now, known=True)
        except redis.exceptions.NoScriptError:
            return self._send(messages, now, known=False)

    def _send(self, messages: Sequence[Relayed], now: int, *, known: bool) -> list[str]:
        """Send messages by the script that Redis knows, or with its text in the first call.

        A pipeline of redis-py would ask SCRIPT EXISTS first, which the users of web and workers may not.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            for number, one in enumerate(messages):
                delay = None if one.due is None else max(0, one.due - now)
                names = [*enqueue_keys(one.queue), keys.HEARTBEATS, keys.relayed(one.key)]
                arguments = enqueue_arguments(one.queue, one.id, one.payload, delay)
                arguments += [one.until, one.on_duplicate, MARK_SECONDS, another_id(one.id)]
                if known or number:
                    pipeline.evalsha(self._sha, len(names), *names, *arguments)
                else:
                    pipeline.eval(self._text, len(names), *names, *arguments)
            return [name(id_) for id_ in pipeline.execute()]

    def forget(self, messages: Sequence[Relayed]) -> None:
        """Forget that messages were sent, after they were deleted from their outbox."""
        self._redis.unlink(*(keys.relayed(one.key) for one in messages))
