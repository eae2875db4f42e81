"""The outcome of a failed attempt: another attempt after a growing delay, or a dead letter."""

from __future__ import annotations

import logging
import math
import random
import time
import traceback
from collections.abc import Callable
from typing import Any

import redis
from dramatiq import Message, Middleware
from dramatiq.errors import ActorNotFound, BrokerConnectionError, DecodeError, Retry

from tandem.broker.errors import PermanentError
from tandem.broker.store import MAX_DELAY_MS, Delivery, MessageStore, Outcome
from tandem.config.settings import MAX_RETRIES, RETRY_DELAY, RETRY_MULTIPLIER
from tandem.support.backoff import Backoff
from tandem.support.times import iso

logger = logging.getLogger(__name__)

# The actor of a payload that cannot be decoded.
UNDECODABLE = "?"
JITTER = 0.1
BACKOFF = (0.1, 5.0)
# What a dead letter keeps: attempts, characters of an error's text and of a traceback.
MAX_ATTEMPTS_KEPT = 20
MAX_ERROR_LENGTH = 2_000
MAX_TRACEBACK_LENGTH = 20_000


class Retries(Middleware):
    """Retries a failed message after `delay` ms, `delay * multiplier` ms and so on, each ±10 %.

    An actor, or `send_with_options` for one message, can choose its own `max_retries` (None: no limit), `retry_delay`
    and `retry_multiplier`, and an actor in `throws` the errors that no retry can fix. Its option `on_failed` is called
    with the message and the exception before the message becomes a dead letter; it can be called again if the process
    dies in between.

    It is a middleware only because dramatiq gets the names of options from middleware.
    """

    def __init__(
        self, *, max_retries: int = MAX_RETRIES, delay: int = RETRY_DELAY, multiplier: float = RETRY_MULTIPLIER
    ) -> None:
        self.max_retries = max_retries
        self.delay = delay
        self.multiplier = multiplier

    @property
    def actor_options(self) -> set[str]:
        return {"max_retries", "retry_delay", "retry_multiplier", "throws", "on_failed", "on_removed"}

    def failed(
        self, delivery: Delivery, message: Any, exception: BaseException, options: dict[str, Any], store: MessageStore
    ) -> Outcome:
        """Return the outcome of an attempt that ended with `exception`. `options`: the actor's."""
        chosen = {**options, **message.options}
        note_attempt(message, exception, store.worker)
        try:
            retries = int(message.options.get("retries", 0))
            if not self._is_final(exception, retries, chosen):
                return self._retried(delivery, message, exception, chosen, store)
            logger.error("gave up after attempt %d: %s: %s", retries + 1, type(exception).__name__, exception)
        except (TypeError, ValueError, ArithmeticError) as trouble:
            # Options of a message are not validated. Invalid ones must not hide what the actor raised.
            logger.error("gave up, because the message's options are invalid: %s; it raised %r", trouble, exception)
        notify_failed(options.get("on_failed"), message, exception, unless=lambda: not store.is_current(delivery))
        return dead_letter(delivery, message, exception)

    def _retried(
        self, delivery: Delivery, message: Any, exception: BaseException, options: dict[str, Any], store: MessageStore
    ) -> Outcome:
        retries = int(message.options.get("retries", 0))
        delay = self._delay(exception, retries, options)
        message.options["retries"] = retries + 1
        message.options["eta"] = store.clock.now() + delay
        reason = str(exception) or type(exception).__name__
        logger.warning("attempt %d failed, retrying in %d ms: %s", retries + 1, delay, reason)
        return Outcome(delivery, "retried", message.actor_name, message.encode(), str(delay))

    def _is_final(self, exception: BaseException, retries: int, options: dict[str, Any]) -> bool:
        # `throws` is a class or classes; a message's own options come as JSON and cannot hold any.
        throws = options.get("throws") or ()
        if isinstance(exception, (PermanentError, ActorNotFound, DecodeError, throws)):
            return True
        return self.is_exhausted(retries, options)

    def is_exhausted(self, retries: int, options: dict[str, Any]) -> bool:
        """Return whether no retry is left after `retries`. `options`: the actor's with the message's."""
        most = options.get("max_retries", self.max_retries)
        return most is not None and retries >= most

    def _delay(self, exception: BaseException, retries: int, options: dict[str, Any]) -> int:
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(exception.delay)
        multiplier = options.get("retry_multiplier", self.multiplier)
        delay: float = options.get("retry_delay", self.delay) * math.exp(min(retries * math.log(multiplier), 50))
        # Spreads the retries of messages that failed together; not a secret.
        return round(min(delay * random.uniform(1 - JITTER, 1 + JITTER), MAX_DELAY_MS))  # noqa: S311


def snoozed(
    delivery: Delivery, message: Any, store: MessageStore, *, stopping: bool, delay: int | None = None
) -> Outcome:
    """Return the outcome of a snoozed delivery: a stopping worker puts the message at the head of its queue.

    delay: ms after which it continues, if not at once.
    """
    message.options["eta"] = store.clock.now() + (delay or 0)
    if delay:
        logger.info("continues in a new delivery in %d ms", delay)
        where = str(delay)
    else:
        logger.info("a part is done, the rest continues in a new delivery")
        where = "head" if stopping else "tail"
    return Outcome(delivery, "snoozed", message.actor_name, message.encode(), where)


def note_progress(message: Any, progress: float | None) -> bool:
    """Record the message's progress; return whether it has grown since the delivery before."""
    if progress is None:
        return False
    before = message.options.get("progress", 0)
    message.options["progress"] = progress
    return bool(progress > before)


def note_attempt(message: Any, exception: BaseException, worker: str) -> None:
    """Add a failed attempt to the message's own record."""
    attempt = {
        "at": iso(time.time(), milliseconds=True),
        "worker": worker,
        "error": type(exception).__name__,
        "message": str(exception)[:MAX_ERROR_LENGTH],
    }
    options = message.options
    # Any client can write anything to Redis: an invalid record is replaced, so that this attempt is not lost.
    known, count = options.get("attempts"), options.get("attempt_count")
    options["attempts"] = [*(known if isinstance(known, list) else []), attempt][-MAX_ATTEMPTS_KEPT:]
    options["attempt_count"] = (count if isinstance(count, int) else 0) + 1


def dead_letter(delivery: Delivery, message: Any, exception: BaseException) -> Outcome:
    """Return the outcome of the last attempt."""
    message.options["traceback"] = "".join(traceback.format_exception(exception, limit=-30))[-MAX_TRACEBACK_LENGTH:]
    message.options["failed_at"] = iso(time.time(), milliseconds=True)
    message.options.pop("eta", None)
    kind = f"{message.actor_name}\t{type(exception).__name__}"
    return Outcome(delivery, "failed", message.actor_name, message.encode(), kind)


def undecided(
    delivery: Delivery, message: Any, error: Exception, on_failed: Callable[..., Any] | None, store: MessageStore
) -> Outcome:
    """Return a dead letter for a message whose outcome could not be decided: a bug, or options of wrong types."""
    logger.error("the outcome of %s of %s is undecided: it becomes a dead letter", delivery.id, delivery.queue)
    note_attempt(message, error, store.worker)
    notify_failed(on_failed, message, error, unless=lambda: not store.is_current(delivery))
    return dead_letter(delivery, message, error)


def undecodable(delivery: Delivery) -> Outcome:
    """Return the outcome of a payload that cannot be decoded: a dead letter with the same payload."""
    logger.error("the message %s of %s cannot be decoded: it becomes a dead letter", delivery.id, delivery.queue)
    return Outcome(delivery, "failed", UNDECODABLE, delivery.payload, f"{UNDECODABLE}\tDecodeError")


def notify_failed(
    on_failed: Callable[[Message[Any], BaseException], Any] | None,
    message: Any,
    error: BaseException,
    *,
    unless: Callable[[], bool] = lambda: False,
) -> None:
    """Call the actor's `on_failed`, repeatedly while Redis is unavailable; its other errors are logged and ignored.

    `unless`: called right before; returns whether another worker has the message by now.
    """
    backoff = Backoff(*BACKOFF)
    while on_failed:
        try:
            if not unless():
                on_failed(message, error)
        except (redis.RedisError, BrokerConnectionError) as trouble:
            logger.warning("%s failed because of Redis, retrying in %.1f s: %s", on_failed, backoff.pause, trouble)
            backoff.wait()
            continue
        except Exception:
            logger.exception("on_failed of %s failed", message.actor_name)
        return
