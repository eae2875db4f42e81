"""One attempt at a message, its record in the message, and the outcomes it can have."""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Callable
from typing import Any

import redis
from dramatiq import Message, MessageProxy
from dramatiq.errors import BrokerConnectionError

from tandem.broker.store import Delivery, MessageStore, Outcome
from tandem.support.backoff import Backoff
from tandem.support.times import iso

logger = logging.getLogger(__name__)

# The actor of a payload that cannot be decoded.
UNDECODABLE = "?"
BACKOFF = (0.1, 5.0)
# What a dead letter keeps: attempts, characters of an error's text and of a traceback.
MAX_ATTEMPTS_KEPT = 20
MAX_ERROR_LENGTH = 2_000
MAX_TRACEBACK_LENGTH = 20_000
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


class Attempt(MessageProxy):
    """The message as middleware sees it, with what the middleware Retries decides about the attempt.

    retry_in: ms after which the message is retried; None if it is not. exhausted: set if no retry is left, for the
    actor that `on_retry_exhausted` names. trouble: what kept Retries from deciding. rejection: why a middleware skipped
    the message. delivery_count: how often it was delivered since it was stored. queue_id: its id in the queue, which
    is another one for a unique message. dramatiq's own `failed` says that the message becomes a dead letter.
    """

    def __init__(self, message: Message[Any], delivery_count: int = 1, queue_id: str = "") -> None:
        super().__init__(message)
        self.delivery_count = delivery_count
        self.queue_id = queue_id or message.message_id
        self.retry_in: int | None = None
        self.exhausted: dict[str, int | None] | None = None
        self.trouble: Exception | None = None
        self.rejection = ""

    @property
    def is_decided(self) -> bool:
        """Whether it is known that the message is retried or becomes a dead letter."""
        return self.failed or self.retry_in is not None or self.trouble is not None

    def note(self, exception: BaseException, worker: str) -> None:
        """Add the failed attempt to the message's own record."""
        entry = {
            "at": iso(time.time(), milliseconds=True),
            "worker": worker,
            "error": type(exception).__name__,
            "message": str(exception)[:MAX_ERROR_LENGTH],
        }
        options = self.options
        # Any client can write anything to Redis: an invalid record is replaced, so that this attempt is not lost.
        known, count = options.get("attempts"), options.get("attempt_count")
        options["attempts"] = [*(known if isinstance(known, list) else []), entry][-MAX_ATTEMPTS_KEPT:]
        options["attempt_count"] = (count if isinstance(count, int) else 0) + 1


def formatted(exception: BaseException) -> str:
    """Return the end of an exception's traceback, of a bounded length."""
    return "".join(traceback.format_exception(exception, limit=-30))[-MAX_TRACEBACK_LENGTH:]


def dead_letter(delivery: Delivery, message: Any, exception: BaseException) -> Outcome:
    """Return the outcome of the last attempt."""
    message.options["traceback"] = formatted(exception)
    message.options["failed_at"] = iso(time.time(), milliseconds=True)
    message.options.pop("eta", None)
    # The two are stored with a tab between them, and nobody can ask for an actor without a name.
    actor = _UNSAFE.sub("?", message.actor_name) or UNDECODABLE
    kind = f"{actor}\t{type(exception).__name__}"
    return Outcome(delivery, "failed", message.actor_name, message.encode(), kind)


def undecided(
    delivery: Delivery,
    message: Attempt,
    error: Exception,
    on_failed: Callable[..., Any] | None,
    store: MessageStore,
) -> Outcome:
    """Return a dead letter for a message whose outcome could not be decided: a bug, or options of wrong types."""
    logger.error("the outcome of %s of %s is undecided: it becomes a dead letter", delivery.id, delivery.queue)
    message.note(error, store.worker)
    notify(on_failed, message, error, what="on_failed", unless=lambda: not store.is_current(delivery))
    return dead_letter(delivery, message, error)


def undecodable(delivery: Delivery) -> Outcome:
    """Return the outcome of a payload that cannot be decoded: a dead letter with the same payload."""
    logger.error("the message %s of %s cannot be decoded: it becomes a dead letter", delivery.id, delivery.queue)
    return Outcome(delivery, "failed", UNDECODABLE, delivery.payload, f"{UNDECODABLE}\tDecodeError")


def snoozed(
    delivery: Delivery, message: Any, store: MessageStore, *, stopping: bool, delay: int | None = None
) -> Outcome:
    """Return the outcome of a snoozed delivery: a stopping worker puts the message at the head of its queue.

    delay: ms after which it continues, if not at once.
    """
    message.options["eta"] = store.clock.now() + (delay or 0)
    message.options["snoozed"] = True
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


def notify(
    callback: Callable[[Any, BaseException], Any] | None,
    message: Any,
    error: BaseException,
    *,
    what: str,
    unless: Callable[[], bool] = lambda: False,
) -> None:
    """Call an actor's callback, repeatedly while Redis is unavailable; its other errors are logged and ignored.

    `what`: the name of the option. `unless`: called right before; returns whether another worker has the message by
    now.
    """
    backoff = Backoff(*BACKOFF)
    while callback:
        try:
            if not unless():
                callback(message, error)
        except (redis.RedisError, BrokerConnectionError) as trouble:
            logger.warning("%s failed because of Redis, retrying in %.1f s: %s", what, backoff.pause, trouble)
            backoff.wait()
            continue
        except Exception:
            logger.exception("%s of %s failed", what, message.actor_name)
        return
