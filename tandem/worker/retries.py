"""Decides about a failed attempt: another one after a growing delay, or a dead letter.

The options are dramatiq's, with names of ours for some of them, and the decision comes at the same moment as in
dramatiq: middleware that is called afterwards sees `message.failed` and the options `retries`, `traceback` and
`requeue_timestamp`. The worker stores what was decided.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from dramatiq import Broker as BaseBroker
from dramatiq import Middleware
from dramatiq.errors import ActorNotFound, DecodeError, RateLimitExceeded, Retry
from dramatiq.middleware import Shutdown

from tandem.broker.broker import Broker
from tandem.broker.errors import Canceled, PermanentError, Snooze
from tandem.broker.store import MAX_DELAY_MS
from tandem.config.settings import MAX_RETRIES, RETRY_DELAY, RETRY_MULTIPLIER
from tandem.worker.attempt import Attempt, formatted

logger = logging.getLogger(__name__)

JITTER = 0.1
#: Without a `max_retries` of its own, a message that a rate limiter of dramatiq refuses waits for about a quarter of an
#: hour: this many retries, this long (ms) apart at most. Waiting is no failure, and dramatiq's own default is 20, too.
RATE_LIMIT_RETRIES, RATE_LIMIT_MAX_BACKOFF = 20, 60_000
#: The names of the first delay, dramatiq's and ours.
FIRST_DELAY = ("retry_delay", "min_backoff")

Options = Mapping[str, Any]


class Retries(Middleware):
    """Retries a failed message after `delay` ms, `delay * multiplier` ms and so on, each ±10 %.

    An actor, or `send_with_options` for one message, can choose its own `max_retries` (None: no limit), `retry_delay`
    or `min_backoff`, `retry_multiplier`, `max_backoff` and `on_retry_exhausted` (the name of an actor, to which the
    message is sent); an actor also `throws` (the errors that no retry can fix), `retry_when` (a function of the number
    of retries and the exception, instead of `max_retries`), and `on_failed` (a function of the message and the
    exception, called before the message becomes a dead letter). `on_failed` is called again, and `on_retry_exhausted`
    sent to again, if the process dies before the dead letter is stored.
    """

    def __init__(
        self, *, max_retries: int = MAX_RETRIES, delay: int = RETRY_DELAY, multiplier: float = RETRY_MULTIPLIER
    ) -> None:
        self.max_retries = max_retries
        self.delay = delay
        self.multiplier = multiplier

    @property
    def actor_options(self) -> set[str]:
        return {
            "max_retries",
            *FIRST_DELAY,
            "retry_multiplier",
            "max_backoff",
            "retry_when",
            "on_retry_exhausted",
            "throws",
            "on_failed",
            "on_removed",
        }

    def after_process_message(
        self, broker: BaseBroker, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        """Decide about an attempt that ended with `exception`; a message that goes on later has not failed."""
        if exception is None or isinstance(exception, Snooze) or message.is_decided:
            return
        options = broker.get_actor(message.actor_name).options
        if isinstance(exception, Shutdown) and {**options, **message.options}.get("max_retries") != 0:
            return
        self.decide(cast(Broker, broker), message, exception, options)

    def decide(self, broker: Broker, message: Attempt, exception: BaseException, options: Options) -> None:
        """Set `message.retry_in`, `failed` or `trouble`. `options`: the actor's."""
        message.note(exception, broker.worker)
        try:
            self._decide(broker, message, exception, options)
        except (TypeError, ValueError, ArithmeticError) as trouble:
            # Options of a message are not validated. Invalid ones must not hide what the actor raised.
            logger.warning("gave up, because the message's options are invalid: %s; it raised %r", trouble, exception)
            message.fail()
        except Exception as trouble:
            logger.exception("deciding about %s failed", message.message_id)
            message.trouble = trouble

    def _decide(self, broker: Broker, message: Attempt, exception: BaseException, options: Options) -> None:
        retries = int(message.options.get("retries", 0))
        message.options["retries"] = retries + 1
        message.options["traceback"] = formatted(exception)
        message.options["requeue_timestamp"] = int(time.time() * 1000)
        chosen = {**options, **message.options}
        reason = f"{type(exception).__name__}: {exception}"
        if _is_permanent(exception, chosen):
            level = logging.INFO if _is_thrown(exception, chosen) else logging.WARNING
            logger.log(level, "gave up after attempt %d: %s", retries + 1, reason)
            message.fail()
        elif not self._may_retry(exception, retries, chosen):
            logger.warning("gave up after attempt %d: %s", retries + 1, reason)
            message.exhausted = {"retries": retries, "max_retries": self._max_retries(chosen, exception)}
            message.fail()
        else:
            self._retry(broker, message, exception, options, retries)

    def _retry(
        self, broker: Broker, message: Attempt, exception: BaseException, options: Options, retries: int
    ) -> None:
        delay = self._delay(exception, retries, message.options, options)
        level = logging.INFO if isinstance(exception, (Retry, RateLimitExceeded)) else logging.WARNING
        reason = str(exception) or type(exception).__name__
        logger.log(level, "attempt %d failed, retrying in %d ms: %s", retries + 1, delay, reason)
        # dramatiq enqueues a retry like any other message; its hooks may change the options.
        broker.emit_before("enqueue", message, delay)
        message.options["eta"] = broker.store.clock.now() + delay
        message.retry_in = delay
        broker.emit_after("enqueue", message, delay)

    def _may_retry(self, exception: BaseException, retries: int, chosen: Options) -> bool:
        retry_when: Callable[[int, BaseException], bool] | None = chosen.get("retry_when")
        if retry_when is not None:
            return bool(retry_when(retries, exception))
        most = self._max_retries(chosen, exception)
        return most is None or retries < most

    def _max_retries(self, chosen: Options, exception: BaseException | None = None) -> int | None:
        default = self.max_retries
        if isinstance(exception, RateLimitExceeded):
            default = max(default, RATE_LIMIT_RETRIES)
        return cast("int | None", chosen.get("max_retries", default))

    def is_exhausted(self, retries: int, chosen: Options) -> bool:
        """Return whether no retry is left after `retries`; unknown with `retry_when`, so not.

        `chosen`: the actor's options with the message's.
        """
        if chosen.get("retry_when") is not None:
            return False
        most = self._max_retries(chosen)
        return most is not None and retries >= most

    def _delay(self, exception: BaseException, retries: int, of_message: Options, of_actor: Options) -> int:
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(min(max(exception.delay, 0), MAX_DELAY_MS))
        chosen = {**of_actor, **of_message}
        own = (
            options[name] for options in (of_message, of_actor) for name in FIRST_DELAY if options.get(name) is not None
        )
        first: float = next(own, self.delay)
        multiplier = chosen.get("retry_multiplier", self.multiplier)
        most = chosen.get("max_backoff")
        if most is None:
            most = RATE_LIMIT_MAX_BACKOFF if isinstance(exception, RateLimitExceeded) else MAX_DELAY_MS
        delay = first * math.exp(min(retries * math.log(multiplier), 50))
        # Spreads the retries of messages that failed together; not a secret.
        return round(min(delay * random.uniform(1 - JITTER, 1 + JITTER), most, MAX_DELAY_MS))  # noqa: S311


def _is_permanent(exception: BaseException, chosen: Options) -> bool:
    return isinstance(exception, (PermanentError, Canceled, ActorNotFound, DecodeError)) or _is_thrown(
        exception, chosen
    )


def _is_thrown(exception: BaseException, chosen: Options) -> bool:
    # `throws` is a class or classes; a message's own options come as JSON and cannot hold any.
    return isinstance(exception, chosen.get("throws") or ())
