"""What the broker and the worker tell about messages, if somebody listens: traces, and reports of dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from dramatiq import Message

#: The option of a message with the trace that it belongs to (https://www.w3.org/TR/trace-context).
TRACEPARENT = "traceparent"


class AttemptSpan(Protocol):
    """The running attempt at a message."""

    def end(self, outcome: str, error: BaseException | None) -> None:
        """Note how the attempt ended."""


class RequestSpan(Protocol):
    """The running request."""

    def answered(self, status: int) -> None:
        """Note the status of the answer."""


class Tracing(Protocol):
    """Spans of sending messages and of attempts at them."""

    def sent(self, message: Message[Any]) -> Message[Any]:
        """Return the message with the trace that it is sent in."""

    def attempt(self, message: Any, *, number: int) -> AbstractContextManager[AttemptSpan]:
        """Trace the attempt that runs in the block; its id is in the log as well."""

    def request(self, method: str, route: str, headers: Mapping[str, str]) -> AbstractContextManager[RequestSpan]:
        """Trace the request that is answered in the block."""

    def flush(self) -> None:
        """Send what is left, before the process ends."""


class Reporter(Protocol):
    """Reports of dead letters."""

    def describe(self, message: Any, error: BaseException, *, worker: str) -> Any:
        """Return the report of a message that becomes a dead letter, without its arguments."""

    def send(self, report: Any) -> None:
        """Send a report, once its dead letter is stored."""

    def report_request(self, error: BaseException, method: str, route: str) -> None:
        """Report an error of the web that became a 500."""

    def flush(self) -> None:
        """Send what is left, before the process ends."""


class Listened(Protocol):
    """A broker with its listeners, if it has any."""

    tracing: Tracing | None
    reporter: Reporter | None


def flush(broker: Listened) -> None:
    """Send what is left, before the process ends."""
    if broker.tracing is not None:
        broker.tracing.flush()
    if broker.reporter is not None:
        broker.reporter.flush()
