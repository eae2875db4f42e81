"""Exceptions with which an actor decides what happens to its message."""

from __future__ import annotations

from dramatiq.errors import Retry
from dramatiq.middleware import Interrupt


class ExpectedError(Exception):
    """A failure that its text fully explains: it is logged in one line, without a traceback."""


class PermanentError(ExpectedError):
    """A failure that no retry can fix: the message becomes a dead letter at once."""


class Rejected(PermanentError):
    """A middleware has called `message.fail()`: the message becomes a dead letter, and its actor may not have run."""


class Snooze(Retry):
    """Not a failure: a part of the work is done and stored, and a new delivery of the message does the rest.

    For work that can take longer than a message may, or than a stopping worker should wait. `progress`: how much of the
    message is done in all, such as a number of parts. A delivery that does not increase it, or does not set it, counts
    as an attempt and fails with NoProgress, unless its worker had to stop for a reason of its own.

    With a `delay` (ms) for work that cannot start yet; that never counts, so the actor has to limit how often.
    """

    def __init__(self, message: str = "", delay: int | None = None, *, progress: float | None = None) -> None:
        super().__init__(message, delay)
        self.progress = progress


class NoProgress(ExpectedError):
    """A delivery snoozed its message without having done any part of it."""


class Purged(PermanentError):
    """An operator removed the message from its queue."""


class Canceled(Interrupt):
    """An operator canceled the running message: it is not retried. Raised in its actor, as TimeLimitExceeded is."""

    def __init__(self, text: str = "canceled by an operator") -> None:
        super().__init__(text)
