"""One dead letter: what is known of a message that failed for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from dramatiq import Message
from dramatiq.common import current_millis

from app.queueing import payload

# What the end of a message left in its options, and a fresh start must not find there.
_OF_THE_END = ("traceback", "failed_at", "eta")


class Kind(NamedTuple):
    """What dead letters are counted by."""

    actor: str
    error: str

    @classmethod
    def read(cls, text: str | None) -> Kind:
        """The kind as it is stored, with a tab between; UNKNOWN of a letter that has none."""
        actor, tab, error = (text or "").partition("\t")
        return cls(actor, error) if tab else UNKNOWN


UNKNOWN = Kind("?", "?")


class Attempt(NamedTuple):
    """One run of a message: when (ISO, UTC), in which worker, and the error it ended with."""

    at: str
    worker: str
    error: str
    message: str


@dataclass(frozen=True)
class Letter:
    """A dead letter of a queue; `died` (ms since 1970) and the id name one death, of which a message can have several.

    The payload is None until it is read, and of a letter that was taken away meanwhile.
    """

    queue: str
    id: str
    died: float
    kind: Kind = UNKNOWN
    payload: bytes | None = None

    @cached_property
    def content(self) -> Message[Any] | None:
        """The message; None when its payload cannot be read."""
        return payload.read(self.payload or b"")

    @property
    def options(self) -> Mapping[str, Any]:
        """The message's options; none when it cannot be read."""
        return self.content.options if self.content else {}

    @property
    def actor(self) -> str:
        """The name of the actor, also of letters without a kind."""
        return self.content.actor_name if self.kind == UNKNOWN and self.content else self.kind.actor

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that are on record, newest last."""
        recorded = self.options.get("attempts")
        entries = recorded if isinstance(recorded, list) else []
        return [
            Attempt(*(str(entry.get(field, "?")) for field in Attempt._fields))
            for entry in entries
            if isinstance(entry, dict)
        ]

    @property
    def attempt_count(self) -> int:
        """How often it ran: more than there are on record, for one that failed very often."""
        return max(_whole(self.options.get("attempt_count")), len(self.attempts))

    @property
    def resent(self) -> int:
        """How often it was retried by hand."""
        return _whole(self.options.get("resent"))

    @property
    def traceback(self) -> str:
        """That of the last attempt, or nothing."""
        return str(self.options.get("traceback") or "")

    @property
    def message(self) -> str:
        """What the last error said."""
        if self.content is None:
            return "its payload cannot be read"
        if self.attempts:
            return self.attempts[-1].message
        return (self.traceback.strip().splitlines() or ["it never began: something in its options is wrong"])[-1]

    def revived(self) -> bytes | None:
        """The payload with which it begins anew, its attempts still on record; None when it cannot be read."""
        if self.content is None:
            return None
        options = {name: value for name, value in self.options.items() if name not in _OF_THE_END}
        # It waits from now on; the time when it was sent first stays.
        options |= {"retries": 0, "resent": self.resent + 1, "eta": current_millis()}
        return replace(self.content, queue_name=self.queue, options=options).encode()


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
