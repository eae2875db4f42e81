"""Runs one message's actor between the hooks of dramatiq's middleware, and returns the outcome."""

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

from tandem import logs
from tandem.broker import codec
from tandem.broker.broker import Broker
from tandem.broker.errors import ExpectedError, NoProgress, Rejected, Snooze
from tandem.broker.store import Delivery, Outcome
from tandem.worker import retries
from tandem.worker.retries import Retries

logger = logging.getLogger(__name__)

# Folders of the frames between a worker's thread and an actor's function.
_OWN_FRAMES = tuple(f"{Path(file).parent}{os.sep}" for file in (__file__, dramatiq.__file__))


def _decoded(delivery: Delivery) -> Message[Any] | None:
    try:
        return codec.decode(delivery.payload)
    except Exception:
        # A decoder can raise anything for arbitrary bytes, such as a RecursionError.
        logger.exception("decoding %s failed", delivery.id)
        return None


class Executor:
    """Runs messages for a worker, on the calling thread."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._policy = broker.middleware_of(Retries)

    def run(self, delivery: Delivery) -> Outcome:
        """Run the message and return its outcome; never raises what an actor raises."""
        message = _decoded(delivery)
        if message is None:
            self._broker.in_flight.count_not_run()
            return retries.undecodable(delivery)
        try:
            return self._run(delivery, message)
        except Exception as error:
            logger.exception("running %s failed", delivery.id)
            self._broker.in_flight.count_not_run()
            actor = self._broker.actors.get(message.actor_name)
            on_failed = actor.options.get("on_failed") if actor else None
            return retries.undecided(delivery, message, error, on_failed, self._broker.store)

    def _run(self, delivery: Delivery, message: Message[Any]) -> Outcome:
        began, now = time.monotonic(), self._broker.store.clock.now()
        waited = (now - max(message.message_timestamp, message.options.get("eta") or 0)) / 1000
        with logs.bound(message_id=message.message_id, actor=message.actor_name):
            logger.info("started, attempt %d", message.options.get("retries", 0) + 1)
            outcome = self._outcome(delivery, MessageProxy(message))
            outcome.waited, outcome.ran = max(0.0, waited), time.monotonic() - began
            logger.info("%s in %.3f s", outcome.result, outcome.ran)
        return outcome

    def _outcome(self, delivery: Delivery, message: Any) -> Outcome:
        store = self._broker.store
        try:
            actor = self._broker.get_actor(message.actor_name)
        except ActorNotFound as error:
            self._broker.in_flight.count_not_run()
            return self._policy.failed(delivery, message, error, {}, store)
        exception = self._attempt(actor, message)
        try:
            if exception is None and not message.failed:
                return Outcome(delivery, "completed", message.actor_name)
            if exception is None:
                exception = Rejected("a middleware rejected the message: it called message.fail()")
            if isinstance(exception, (Snooze, Shutdown)):
                return self._snoozed(delivery, message, exception, actor.options)
            return self._policy.failed(delivery, message, exception, actor.options, store)
        finally:
            # An exception references its frames and their variables, and those reference this frame: a cycle that only
            # the garbage collector would free.
            message.clear_exception()
            del exception

    def _snoozed(self, delivery: Delivery, message: Any, exception: BaseException, options: dict[str, Any]) -> Outcome:
        """Return the outcome of a snoozed delivery; without progress that it could have made, a failed attempt."""
        stopping = self._broker.draining.is_set()
        delay = getattr(exception, "delay", None)
        progressed = retries.note_progress(message, getattr(exception, "progress", None))
        # A message that makes workers exceed their memory limit must not do so again and again.
        had_no_chance = stopping and not self._broker.over_memory_limit.is_set()
        if progressed or delay is not None or had_no_chance:
            return retries.snoozed(delivery, message, self._broker.store, stopping=stopping, delay=delay)
        text = getattr(exception, "message", "")
        reason = f" ({text})" if text else ""
        no_progress = NoProgress(f"no progress: this delivery was snoozed before it had completed a part{reason}")
        return self._policy.failed(delivery, message, no_progress, options, self._broker.store)

    def _attempt(self, actor: Any, message: Any) -> BaseException | None:
        """Return what the actor raised, or None; a skipped message counts as completed, unless it also failed."""
        ended: tuple[str, dict[str, Any]] | None = None
        while True:
            try:
                ended = ended or self._call(actor, message)
                signal, arguments = ended
                self._broker.emit_after(signal, message, **arguments)
                # Not kept in `arguments`, see _outcome.
                return cast("BaseException | None", arguments.pop("exception", None))
            except Interrupt as interrupt:
                # The time limit was reached while the actor's exception was processed, or after the actor's end. The
                # time limit is removed by the first "after" hook of all, so this happens at most once.
                logger.debug("the interrupt arrived late")
                ended = ended or ("process_message", {"exception": interrupt})

    def _call(self, actor: Any, message: Any) -> tuple[str, dict[str, Any]]:
        """Call the actor; return the signal to emit after it, and the arguments of the signal."""
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
    """Remove Tandem's own frames from the top of the traceback; one that never reached the actor stays complete."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename.startswith(_OWN_FRAMES):
        traceback = traceback.tb_next
    if traceback:
        error.__traceback__ = traceback
