"""Runs one message's actor with all that dramatiq's middleware does around it, and says how that ended."""

from __future__ import annotations

import logging
import time
from typing import Any

from dramatiq import MessageProxy
from dramatiq.errors import ActorNotFound, Retry
from dramatiq.middleware import Interrupt, Shutdown, SkipMessage

from app import logs
from app.queueing import retries
from app.queueing.broker import Broker
from app.queueing.delivery import Outcome, Taken
from app.queueing.errors import Continue, ExpectedError

logger = logging.getLogger(__name__)


class Runner:
    """Runs messages for a worker, on whatever thread calls it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def run(self, taken: Taken) -> Outcome:
        """How the message ended; never raises what an actor raises."""
        now, began = time.time(), time.monotonic()
        message = retries.read(taken)
        if message is None:
            return retries.unreadable(taken)
        waited = now - max(message.message_timestamp, message.options.get("eta") or 0) / 1000
        with logs.bound(message_id=message.message_id, actor=message.actor_name):
            logger.info("started, attempt %d", message.options.get("retries", 0) + 1)
            outcome = self._outcome(taken, MessageProxy(message))
            outcome.waited, outcome.ran = max(0.0, waited), time.monotonic() - began
            logger.info("%s in %.3f s", outcome.result, outcome.ran)
        return outcome

    def _outcome(self, taken: Taken, message: Any) -> Outcome:
        worker = self._broker.worker
        try:
            actor = self._broker.get_actor(message.actor_name)
        except ActorNotFound as error:
            return self._broker.retries.failed(taken, message, error, {}, worker)
        exception = self._attempt(actor, message)
        # A reference to the exception in the message keeps its frames, and all that they hold.
        message.clear_exception()
        if exception is None:
            return Outcome(taken, "handled", message.actor_name)
        if isinstance(exception, (Continue, Shutdown)):
            return retries.continued(taken, message, leaving=self._broker.draining.is_set())
        return self._broker.retries.failed(taken, message, exception, actor.options, worker)

    def _attempt(self, actor: Any, message: Any) -> BaseException | None:
        """What the actor raised, or None; a message that is skipped on purpose counts as handled."""
        try:
            self._broker.emit_before("process_message", message)
            result = actor(*message.args, **message.kwargs) if not message.failed else None
        except SkipMessage:
            logger.info("skipped")
            self._after("skip_message", message)
            return None
        except BaseException as error:
            message.stuff_exception(error)
            if not isinstance(error, (ExpectedError, Retry, Shutdown, actor.options.get("throws") or ())):
                logger.error("failed", exc_info=error)
            self._after("process_message", message, exception=error)
            return error
        self._after("process_message", message, result=result)
        return None

    def _after(self, signal: str, message: Any, **how: Any) -> None:
        while True:
            try:
                self._broker.emit_after(signal, message, **how)
                return
            except Interrupt:
                # The time limit came in the moment when the actor had ended by itself. It was taken away first of
                # all, so it comes once.
                logger.debug("the interruption came too late")
