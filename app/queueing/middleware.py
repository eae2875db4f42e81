"""What happens around every message besides retries."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from dramatiq import Broker, Middleware

from app import logs
from app.queueing.errors import Continue

logger = logging.getLogger(__name__)


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
