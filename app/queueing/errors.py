"""What an actor raises to say how it is to go on."""

from __future__ import annotations

from dramatiq.errors import Retry


class ExpectedError(Exception):
    """A failure whose text says everything: it is logged in one line, without a traceback."""


class PermanentError(ExpectedError):
    """A failure that no retry can mend: the message becomes a dead letter at once."""


class Continue(Retry):
    """No failure: a part of the work is done and stored, the rest is for a new delivery of the message.

    For work that can take longer than a message may, or than a stopping worker should wait, and with a `delay` (ms) for
    work that cannot begin yet. Does not count as an attempt.
    """
