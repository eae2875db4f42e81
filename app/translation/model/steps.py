"""An answer as a sequence of steps, so that good and bad behaviour are expressed in the same way."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Say:
    """Send a piece of the answer."""

    text: str


@dataclass(frozen=True)
class Wait:
    """Stay silent until ``until`` (seconds of ``time.monotonic``) or until the client disconnects."""

    until: float


@dataclass(frozen=True)
class Finish:
    """Send the last object with ``done: true`` and Ollama's reason: stop, length, load or unload."""

    reason: str


@dataclass(frozen=True)
class Fail:
    """Send an error in the middle of the answer."""

    message: str


@dataclass(frozen=True)
class Cut:
    """Reset the connection (TCP RST), as a crashed server does."""


Step = Say | Wait | Finish | Fail | Cut
