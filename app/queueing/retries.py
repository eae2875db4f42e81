"""Retries with a delay that grows, and the last word to the actor when there are no more."""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections.abc import Callable
from typing import Any

import redis
from dramatiq import Broker, Message, Middleware
from dramatiq.errors import BrokerConnectionError, Retry

from app.queueing.errors import Continue, PermanentError

logger = logging.getLogger(__name__)

MAX_DELAY_MS = 7 * 86_400_000
JITTER = 0.1
STORE_AGAIN_AFTER = (0.1, 5.0)


class Retries(Middleware):
    """Retries a failed message after `delay` ms, `delay * multiplier` ms and so on, each ±10 %.

    An actor can choose its own `max_retries` and `retry_delay`. Its option `on_failed` is called with the message
    and the exception when the message is about to become a dead letter.

    dramatiq's own middleware acknowledges a message although its retry could not be stored, and the message is
    gone; here storing is repeated until Redis takes it. The message stays unacknowledged for as long, so it also
    survives the end of this process.
    """

    def __init__(self, *, max_retries: int, delay: int, multiplier: float) -> None:
        self.max_retries = max_retries
        self.delay = delay
        self.multiplier = multiplier

    @property
    def actor_options(self) -> set[str]:
        return {"max_retries", "retry_delay", "throws", "on_failed"}

    def after_process_message(
        self, broker: Broker, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        if exception is None:
            return
        if isinstance(exception, Continue):
            logger.info("a part is done, the rest goes on in a new delivery")
            _until_stored(lambda: broker.enqueue(message))
            return
        options = broker.get_actor(message.actor_name).options
        attempt = message.options.get("retries", 0)
        message.options["traceback"] = "".join(traceback.format_exception(exception, limit=-30))
        if self._is_final(exception, attempt, options):
            logger.error("gave up after attempt %d: %s: %s", attempt + 1, type(exception).__name__, exception)
            # First of all: dramatiq acknowledges a message that is not marked, also when what follows breaks.
            message.fail()
            if on_failed := options.get("on_failed"):
                _until_stored(lambda: on_failed(message, exception))
            return
        delay = self._delay(exception, attempt, options)
        message.options["retries"] = attempt + 1
        logger.warning(
            "attempt %d failed, again in %d ms: %s", attempt + 1, delay, exception or type(exception).__name__
        )
        _until_stored(lambda: broker.enqueue(message, delay=delay))

    def _is_final(self, exception: BaseException, attempt: int, options: dict[str, Any]) -> bool:
        if isinstance(exception, (PermanentError, options.get("throws") or ())):
            return True
        return bool(attempt >= options.get("max_retries", self.max_retries))

    def _delay(self, exception: BaseException, attempt: int, options: dict[str, Any]) -> int:
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(exception.delay)
        delay: float = options.get("retry_delay", self.delay) * self.multiplier**attempt
        # Spreads the retries of messages that failed together; not a secret.
        return round(min(delay * random.uniform(1 - JITTER, 1 + JITTER), MAX_DELAY_MS))  # noqa: S311


def _until_stored(store: Callable[[], Message[Any] | None]) -> None:
    pause, longest = STORE_AGAIN_AFTER
    while True:
        try:
            store()
            return
        except (redis.RedisError, BrokerConnectionError) as error:
            logger.warning("Redis did not take the outcome of a message, again in %.1f s: %s", pause, error)
            time.sleep(pause)
            pause = min(pause * 2, longest)
