"""Notes how the messages of schedules ended, for `queue schedules` and its alert."""

from __future__ import annotations

import logging
import time
from typing import Any, cast

import redis
from dramatiq import Broker as BaseBroker
from dramatiq import Middleware

from tandem.broker.broker import Broker

logger = logging.getLogger(__name__)


class ScheduleOutcomes(Middleware):
    """Looks only at messages that a schedule has sent."""

    def before_process_message(self, broker: BaseBroker, message: Any) -> None:
        """Notes when it began, in the process only."""
        if "schedule" in message.options:
            message.began = time.monotonic()

    def after_process_message(
        self, broker: BaseBroker, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        """Notes a success."""
        if exception is None and "schedule" in message.options:
            options = message.options
            self._note(broker, "note_success", options["schedule"], options["scheduled_at"], _took(message))

    def after_nack(self, broker: BaseBroker, message: Any) -> None:
        """Notes that it became a dead letter."""
        if "schedule" in message.options:
            error = message._exception
            self._note(broker, "note_failure", message.options["schedule"], f"{type(error).__name__}: {error}")

    def _note(self, broker: BaseBroker, method: str, *arguments: object) -> None:
        from tandem.schedules.store import ScheduleStore

        try:
            getattr(ScheduleStore(cast(Broker, broker).client), method)(*arguments)
        except redis.RedisError as error:
            logger.warning("noting the outcome of a schedule failed: %s", error)


def _took(message: Any) -> float:
    return time.monotonic() - float(message.began)
