"""One dead letter: a message that failed for good, with the record of its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from dramatiq import Message

from tandem.broker import codec

# Options that the last attempt left on the message, and that a requeued message must not have.
_OPTIONS_OF_LAST_ATTEMPT = ("traceback", "failed_at", "requeue_timestamp", "eta", "progress")


class FailureKind(NamedTuple):
    """The pair by which dead letters are counted."""

    actor: str
    error: str

    @classmethod
    def parse(cls, text: str | None) -> FailureKind:
        """Return the kind of its stored text, actor and error separated by a tab; UNKNOWN of a letter without one."""
        actor, tab, error = (text or "").partition("\t")
        return cls(actor, error) if tab else UNKNOWN


UNKNOWN = FailureKind("?", "?")


class Attempt(NamedTuple):
    """One run of a message: when (ISO, UTC), in which worker, and the error it ended with."""

    at: str
    worker: str
    error: str
    message: str


def attempts_of(message: Message[Any]) -> list[Attempt]:
    """Return the recorded attempts at a message, newest last; anybody can send one with an invalid record."""
    recorded = message.options.get("attempts")
    return [
        Attempt(*(str(entry.get(field, "?")) for field in Attempt._fields))
        for entry in (recorded if isinstance(recorded, list) else [])
        if isinstance(entry, dict)
    ]


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter; the id and `failed_at` (ms since 1970) identify one failure: a message can fail several times.

    The payload is None until it is read, and for a letter that was removed or requeued meanwhile.
    """

    queue: str
    id: str
    failed_at: float
    kind: FailureKind = UNKNOWN
    payload: bytes | None = None

    @cached_property
    def content(self) -> Message[Any] | None:
        """The message; None if its payload cannot be decoded."""
        return codec.decode(self.payload or b"")

    @property
    def options(self) -> Mapping[str, Any]:
        """The message's options; empty if it cannot be decoded."""
        return self.content.options if self.content else {}

    @property
    def actor(self) -> str:
        """The name of the actor, also for letters without a kind."""
        return self.content.actor_name if self.kind == UNKNOWN and self.content else self.kind.actor

    @property
    def attempts(self) -> list[Attempt]:
        """The recorded attempts, newest last; none of a letter that cannot be decoded."""
        return attempts_of(self.content) if self.content else []

    @property
    def attempt_count(self) -> int:
        """How often the message ran: more than the recorded attempts if it failed very often."""
        return max(_int_or_zero(self.options.get("attempt_count")), len(self.attempts))

    @property
    def requeue_count(self) -> int:
        """How often the dead letter was requeued with `queue failed retry`."""
        return _int_or_zero(self.options.get("resent"))

    @property
    def traceback(self) -> str:
        """The traceback of the last attempt, or an empty string."""
        return str(self.options.get("traceback") or "")

    @property
    def message(self) -> str:
        """The text of the last error."""
        if self.content is None:
            return "its payload cannot be decoded"
        if self.attempts:
            return self.attempts[-1].message
        return (self.traceback.strip().splitlines() or ["it never started: its options are invalid"])[-1]

    def requeued_payload(self, now: int) -> bytes | None:
        """Return the payload with which it starts again, its attempts still recorded; None if it cannot be decoded.

        now: ms since 1970 by the clock of Redis.
        """
        if self.content is None:
            return None
        options = {name: value for name, value in self.options.items() if name not in _OPTIONS_OF_LAST_ATTEMPT}
        # Its waiting time starts now; the time when it was first sent stays.
        options |= {"retries": 0, "resent": self.requeue_count + 1, "eta": now}
        return replace(self.content, queue_name=self.queue, options=options).encode()


def _int_or_zero(value: object) -> int:
    return value if isinstance(value, int) else 0
