"""Runs one message's actor with all that dramatiq's middleware does around it, and says how that ended."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any, cast

import dramatiq
from dramatiq import Message, MessageProxy
from dramatiq.errors import ActorNotFound, Retry
from dramatiq.middleware import Interrupt, Shutdown, SkipMessage

from app import logs
from app.queueing import payload, retries
from app.queueing.broker import Broker
from app.queueing.delivery import Outcome, Taken
from app.queueing.errors import Continue, ExpectedError

logger = logging.getLogger(__name__)

# What lies between a worker's thread and an actor's function.
_BETWEEN = tuple(f"{Path(file).parent}{os.sep}" for file in (__file__, dramatiq.__file__))


class Runner:
    """Runs messages for a worker, on whatever thread calls it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def run(self, taken: Taken) -> Outcome:
        """How the message ended; never raises what an actor raises."""
        try:
            message = payload.read(taken.payload)
            if message:
                return self._run(taken, message)
        except Exception:
            logger.exception("the options of %s make no sense", taken.id)
        self._broker.activity.count_unrun()
        return retries.unreadable(taken)

    def _run(self, taken: Taken, message: Message[Any]) -> Outcome:
        now, began = time.time(), time.monotonic()
        waited = now - max(message.message_timestamp, message.options.get("eta") or 0) / 1000
        with logs.bound(message_id=message.message_id, actor=message.actor_name):
            logger.info("started, attempt %d", message.options.get("retries", 0) + 1)
            outcome = self._outcome(taken, MessageProxy(message))
            outcome.waited, outcome.ran = max(0.0, waited), time.monotonic() - began
            logger.info("%s in %.3f s", outcome.result, outcome.ran)
        return outcome

    def _outcome(self, taken: Taken, message: Any) -> Outcome:
        delivery = self._broker.delivery
        try:
            actor = self._broker.get_actor(message.actor_name)
        except ActorNotFound as error:
            self._broker.activity.count_unrun()
            return self._broker.retries.failed(taken, message, error, {}, delivery)
        exception = self._attempt(actor, message)
        try:
            if exception is None:
                return Outcome(taken, "handled", message.actor_name)
            if isinstance(exception, (Continue, Shutdown)):
                delay = getattr(exception, "delay", None)
                return retries.continued(taken, message, leaving=self._broker.draining.is_set(), delay=delay)
            return self._broker.retries.failed(taken, message, exception, actor.options, delivery)
        finally:
            # An exception keeps its frames and all that they hold, and they lead back to here: a circle that would last
            # until the garbage collector comes.
            message.clear_exception()
            del exception

    def _attempt(self, actor: Any, message: Any) -> BaseException | None:
        """What the actor raised, or None; a message that is skipped on purpose counts as handled."""
        ended: tuple[str, dict[str, Any]] | None = None
        while True:
            try:
                ended = ended or self._call(actor, message)
                signal, how = ended
                self._broker.emit_after(signal, message, **how)
                # Not kept in `how`, see _outcome.
                return cast("BaseException | None", how.pop("exception", None))
            except Interrupt as interrupt:
                # The time limit came while what the actor had raised was looked at, or after the actor's end. Being
                # taken away is the first "after" of all, so it comes once.
                logger.debug("the interruption came late")
                ended = ended or ("process_message", {"exception": interrupt})

    def _call(self, actor: Any, message: Any) -> tuple[str, dict[str, Any]]:
        """The signal to emit after the actor, and what goes with it."""
        try:
            self._broker.emit_before("process_message", message)
            result = actor(*message.args, **message.kwargs) if not message.failed else None
        except SkipMessage:
            logger.info("skipped")
            return "skip_message", {}
        except BaseException as error:
            message.stuff_exception(error)
            _begin_at_actor(error)
            if not isinstance(error, (ExpectedError, Retry, Shutdown, actor.options.get("throws") or ())):
                logger.error("failed", exc_info=error)
            return "process_message", {"exception": error}
        return "process_message", {"result": result}


def _begin_at_actor(error: BaseException) -> None:
    """Takes our own frames off the top of the traceback; one that never came to the actor stays whole."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename.startswith(_BETWEEN):
        traceback = traceback.tb_next
    if traceback:
        error.__traceback__ = traceback
