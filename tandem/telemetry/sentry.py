"""Reports to Sentry: one for each dead letter, and one for each error of the web that nobody has foreseen.

Not one for each attempt: a retry is the normal course of things. Arguments of messages and local variables, which have
them, are not sent.
"""

from __future__ import annotations

import socket
from importlib.metadata import version
from typing import Any

import sentry_sdk
from sentry_sdk.utils import event_from_exception

from tandem import logs
from tandem.config.settings import Settings

#: How long a process that ends waits for its last reports (seconds).
FLUSH_SECONDS = 3.0


class Sentry:
    """The client of one process."""

    def __init__(self, settings: Settings) -> None:
        dsn = settings.sentry_dsn.get_secret_value() if settings.sentry_dsn else None
        sentry_sdk.init(
            dsn,
            release=f"tandem@{version('tandem')}",
            server_name=socket.gethostname(),
            # The one for logging would send each ERROR line, so several for one dead letter.
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_request_body_size="never",
            traces_sample_rate=None,
        )
        self._options = sentry_sdk.get_client().options

    def describe(self, message: Any, error: BaseException, *, worker: str) -> Any:
        """Return the event of a message that becomes a dead letter, without its arguments."""
        event, hint = event_from_exception(error, client_options=self._options, mechanism={"type": "tandem"})
        options = message.options
        event["tags"] = {"actor": message.actor_name, "queue": message.queue_name, "worker": worker}
        event["extra"] = {"message_id": message.message_id, "attempts": options.get("attempt_count", 1)}
        event["fingerprint"] = [message.actor_name, type(error).__name__, "{{ default }}"]
        # The error keeps its frames alive; the event has what is needed of them.
        return event, {key: value for key, value in hint.items() if key != "exc_info"}

    def send(self, report: Any) -> None:
        """Send an event; Sentry's own thread does it, and drops it when there are too many."""
        event, hint = report
        sentry_sdk.capture_event(event, hint=hint)

    def report_request(self, error: BaseException, method: str, route: str) -> None:
        """Report an error of the web that became a 500."""
        event, hint = event_from_exception(error, client_options=self._options, mechanism={"type": "tandem"})
        event["tags"] = {"route": route, "method": method, "process": logs.process_name()}
        sentry_sdk.capture_event(event, hint=hint)

    def flush(self) -> None:
        """Send what is left, before the process ends."""
        sentry_sdk.flush(FLUSH_SECONDS)
