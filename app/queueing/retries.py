"""What becomes of a message whose attempt failed: another attempt after a delay that grows, or a dead letter."""

from __future__ import annotations

import logging
import math
import random
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import redis
from dramatiq import Message, Middleware
from dramatiq.common import current_millis
from dramatiq.errors import ActorNotFound, BrokerConnectionError, DecodeError, Retry

from app.queueing.delivery import MAX_DELAY_MS, Delivery, Outcome, Taken
from app.queueing.errors import PermanentError

logger = logging.getLogger(__name__)

# The actor of a payload that is no message.
UNREADABLE = "?"
JITTER = 0.1
AGAIN_AFTER = (0.1, 5.0)
# A dead letter keeps this much of what happened: attempts, characters of an error's text and of a traceback.
ATTEMPTS_KEPT = 20
ERROR_KEPT = 2_000
TRACEBACK_KEPT = 20_000


class Retries(Middleware):
    """Retries a failed message after `delay` ms, `delay * multiplier` ms and so on, each ±10 %.

    An actor, or `send_with_options` for one message, can choose its own `max_retries`, `retry_delay` and
    `retry_multiplier`, and an actor in `throws` the errors that no retry can mend. Its option `on_failed` is called
    with the message and the exception before the message becomes a dead letter; it can be called again when the
    process dies in between.

    A middleware only because dramatiq learns from one which options there are.
    """

    def __init__(self, *, max_retries: int, delay: int, multiplier: float) -> None:
        self.max_retries = max_retries
        self.delay = delay
        self.multiplier = multiplier

    @property
    def actor_options(self) -> set[str]:
        return {"max_retries", "retry_delay", "retry_multiplier", "throws", "on_failed"}

    def failed(
        self, taken: Taken, message: Any, exception: BaseException, options: dict[str, Any], delivery: Delivery
    ) -> Outcome:
        """The outcome of an attempt that ended with `exception`. `options`: the actor's."""
        chosen = {**options, **message.options}
        retries = int(message.options.get("retries", 0))
        note_attempt(message, exception, delivery.worker)
        if not self._is_final(exception, retries, chosen):
            return self._again(taken, message, exception, chosen, retries)
        logger.error("gave up after attempt %d: %s: %s", retries + 1, type(exception).__name__, exception)
        tell(options.get("on_failed"), message, exception, unless=lambda: not delivery.owns(taken))
        return dead_letter(taken, message, exception)

    def _again(
        self, taken: Taken, message: Any, exception: BaseException, options: dict[str, Any], retries: int
    ) -> Outcome:
        delay = self._delay(exception, retries, options)
        message.options["retries"] = retries + 1
        message.options["eta"] = current_millis() + delay
        reason = str(exception) or type(exception).__name__
        logger.warning("attempt %d failed, again in %d ms: %s", retries + 1, delay, reason)
        return Outcome(taken, "retried", message.actor_name, message.encode(), str(delay))

    def _is_final(self, exception: BaseException, retries: int, options: dict[str, Any]) -> bool:
        # `throws` is a class or classes; a message's own options come as JSON and cannot hold any.
        throws = options.get("throws") or ()
        if isinstance(exception, (PermanentError, ActorNotFound, DecodeError, throws)):
            return True
        return bool(retries >= options.get("max_retries", self.max_retries))

    def _delay(self, exception: BaseException, retries: int, options: dict[str, Any]) -> int:
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(exception.delay)
        multiplier = options.get("retry_multiplier", self.multiplier)
        delay: float = options.get("retry_delay", self.delay) * math.exp(min(retries * math.log(multiplier), 50))
        # Spreads the retries of messages that failed together; not a secret.
        return round(min(delay * random.uniform(1 - JITTER, 1 + JITTER), MAX_DELAY_MS))  # noqa: S311


def continued(taken: Taken, message: Any, *, leaving: bool, delay: int | None = None) -> Outcome:
    """The outcome of a delivery that did a part: in a worker that leaves the rest goes before all others.

    delay: ms after which it goes on, if not at once.
    """
    message.options["eta"] = current_millis() + (delay or 0)
    if delay:
        logger.info("goes on in a new delivery, in %d ms", delay)
        where = str(delay)
    else:
        logger.info("a part is done, the rest goes on in a new delivery")
        where = "head" if leaving else "tail"
    return Outcome(taken, "continued", message.actor_name, message.encode(), where)


def note_attempt(message: Any, exception: BaseException, worker: str) -> None:
    """Adds an attempt that failed to the message's own record."""
    attempt = {
        "at": _now(),
        "worker": worker,
        "error": type(exception).__name__,
        "message": str(exception)[:ERROR_KEPT],
    }
    options = message.options
    options["attempts"] = [*options.get("attempts", []), attempt][-ATTEMPTS_KEPT:]
    options["attempt_count"] = options.get("attempt_count", 0) + 1


def dead_letter(taken: Taken, message: Any, exception: BaseException) -> Outcome:
    """The outcome of the last attempt."""
    message.options["traceback"] = "".join(traceback.format_exception(exception, limit=-30))[-TRACEBACK_KEPT:]
    message.options["failed_at"] = _now()
    message.options.pop("eta", None)
    kind = f"{message.actor_name}\t{type(exception).__name__}"
    return Outcome(taken, "failed", message.actor_name, message.encode(), kind)


def unreadable(taken: Taken) -> Outcome:
    """The outcome of a payload that is no message: a dead letter as it is."""
    logger.error("the message %s of %s cannot be read: it becomes a dead letter", taken.id, taken.queue)
    return Outcome(taken, "failed", UNREADABLE, taken.payload, f"{UNREADABLE}\tDecodeError")


def tell(
    on_failed: Callable[[Message[Any], BaseException], Any] | None,
    message: Any,
    error: BaseException,
    *,
    unless: Callable[[], bool] = lambda: False,
) -> None:
    """Tells the one who waits for the message, again and again while Redis is away; a bug in it changes nothing.

    `unless`: asked right before; says whether the message is another worker's by now.
    """
    pause, longest = AGAIN_AFTER
    while on_failed:
        try:
            if not unless():
                on_failed(message, error)
        except (redis.RedisError, BrokerConnectionError) as trouble:
            logger.warning("Redis did not take what %s says, again in %.1f s: %s", on_failed, pause, trouble)
            time.sleep(pause)
            pause = min(pause * 2, longest)
            continue
        except Exception:
            logger.exception("what should be done when %s fails broke", message.actor_name)
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
