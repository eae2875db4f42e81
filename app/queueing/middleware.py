"""What happens around every message besides retries."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from dramatiq import Broker, Middleware

from app import logs
from app.queueing.errors import Continue, ExpectedError

logger = logging.getLogger(__name__)


def tells_more_than_the_retry(record: logging.LogRecord) -> bool:
    """A filter for dramatiq's own line about a failed message; ours about the retry says it as well."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ExpectedError)


class LogContext(Middleware):
    """Names the message and its actor in every line that is logged while it runs, and logs its beginning and end."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def before_process_message(self, broker: Broker, message: Any) -> None:
        logs.bind(message_id=message.message_id, actor=message.actor_name)
        self._thread.started = time.monotonic()
        logger.info("started, attempt %d", message.options.get("retries", 0) + 1)

    def after_process_message(
        self, broker: Broker, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        seconds = time.monotonic() - self._thread.started
        outcome = "interrupted" if isinstance(exception, Continue) else "failed" if exception else "handled"
        logger.info("%s in %.3f s", outcome, seconds)
        logs.unbind()

    def after_skip_message(self, broker: Broker, message: Any) -> None:
        logs.unbind()
