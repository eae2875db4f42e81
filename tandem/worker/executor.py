"""Runs one message's actor between the hooks of dramatiq's middleware, and returns the outcome."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import dramatiq
from dramatiq import Message
from dramatiq.errors import ActorNotFound, DecodeError, RateLimitExceeded, Retry
from dramatiq.middleware import Interrupt, Shutdown, SkipMessage
from dramatiq.results import Results

from tandem import logs
from tandem.broker import codec
from tandem.broker.broker import Broker
from tandem.broker.errors import Canceled, ExpectedError, NoProgress, Rejected, Snooze
from tandem.broker.store import Delivery, Outcome
from tandem.broker.telemetry import AttemptSpan
from tandem.worker import attempt
from tandem.worker.attempt import Attempt
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
        self._warned: set[str] = set()

    def run(self, delivery: Delivery) -> Outcome:
        """Run the message and return its outcome; never raises what an actor raises."""
        message = _decoded(delivery)
        if message is None:
            self._broker.in_flight.count_not_run()
            return self._undecodable(delivery)
        current = Attempt(message, delivery.delivery_count, delivery.id)
        try:
            return self._run(delivery, current)
        except Exception as error:
            logger.exception("running %s failed", delivery.id)
            self._broker.in_flight.count_not_run()
            return self._told(self._undecided(delivery, current, error), current, error, None)

    def _undecodable(self, delivery: Delivery) -> Outcome:
        outcome = attempt.undecodable(delivery)
        if self._broker.reporter is not None:
            stand_in: Message[Any] = Message(delivery.queue, attempt.UNDECODABLE, (), {}, {}, message_id=delivery.id)
            error = DecodeError("the message cannot be decoded", delivery.payload[:0], None)
            outcome.report = self._broker.reporter.describe(stand_in, error, worker=self._broker.worker)
        return outcome

    def _run(self, delivery: Delivery, message: Attempt) -> Outcome:
        began = time.monotonic()
        with logs.bound(message_id=message.message_id, actor=message.actor_name), self._traced(message) as span:
            waited = self._waited(message)
            logger.info("started, attempt %d", _attempt_number(message))
            outcome = self._outcome(delivery, message, span)
            outcome.waited, outcome.ran = waited, time.monotonic() - began
            logger.info("%s in %.3f s", outcome.result, outcome.ran)
        return outcome

    def _traced(self, message: Attempt) -> AbstractContextManager[AttemptSpan | None]:
        tracing = self._broker.tracing
        return nullcontext() if tracing is None else tracing.attempt(message, number=_attempt_number(message))

    def _waited(self, message: Attempt) -> float:
        """Return the seconds since the message was sent or, if it was delayed, due."""
        eta = message.options.get("eta") or 0
        if not isinstance(eta, (int, float)):
            logger.warning("ignoring the invalid eta %r", eta)
            eta = 0
        return max(0.0, (self._broker.store.clock.now() - max(message.message_timestamp, eta)) / 1000)

    def _outcome(self, delivery: Delivery, message: Attempt, span: AttemptSpan | None) -> Outcome:
        try:
            actor = self._broker.get_actor(message.actor_name)
        except ActorNotFound as error:
            self._broker.in_flight.count_not_run()
            message.stuff_exception(error)
            self._policy.decide(self._broker, message, error, {})
            return self._told(self._decided(delivery, message, error, {}), message, error, span)
        exception = self._attempt(actor, message)
        try:
            return self._told(self._decided(delivery, message, exception, actor.options), message, exception, span)
        finally:
            # An exception references its frames and their variables, and those reference this frame: a cycle that only
            # the garbage collector would free.
            message.clear_exception()
            message.trouble = None
            del exception

    def _told(
        self, outcome: Outcome, message: Attempt, error: BaseException | None, span: AttemptSpan | None
    ) -> Outcome:
        """Tell the trace and the reporter how the attempt ended."""
        if span is not None:
            span.end(outcome.result, error)
        if outcome.result == "failed" and self._broker.reporter is not None:
            known = error or message.trouble or Rejected(message.rejection or "rejected by a middleware")
            outcome.report = self._broker.reporter.describe(message, known, worker=self._broker.worker)
        return outcome

    def _decided(
        self, delivery: Delivery, message: Attempt, exception: BaseException | None, options: dict[str, Any]
    ) -> Outcome:
        """Return the outcome that was decided while the hooks of the middleware ran."""
        if message.trouble is not None:
            return self._undecided(delivery, message, message.trouble)
        if message.failed:
            return self._failed(delivery, message, exception, options)
        if message.retry_in is not None:
            self._emit_end("ack", message)
            error = "" if exception is None else type(exception).__name__
            return Outcome(delivery, "retried", message.actor_name, message.encode(), str(message.retry_in), error)
        if exception is not None:
            delay = getattr(exception, "delay", None)
            stopping = self._broker.draining.is_set()
            return attempt.snoozed(delivery, message, self._broker.store, stopping=stopping, delay=delay)
        self._emit_end("ack", message)
        return Outcome(delivery, "completed", message.actor_name)

    def _failed(
        self, delivery: Delivery, message: Attempt, exception: BaseException | None, options: dict[str, Any]
    ) -> Outcome:
        """Tell everybody that the message becomes a dead letter, and return that outcome.

        A worker that dies meanwhile tells them again, and one that has lost the message calls nobody.
        """
        store = self._broker.store
        if exception is None:
            exception = Rejected(message.rejection or "a middleware rejected the message: it called message.fail()")
            if message._exception is None:
                message.stuff_exception(exception)
            message.note(exception, store.worker)
            logger.warning("gave up: %s", exception)
        try:
            self._broker.emit_before("nack", message)
            for what, callback in (
                ("on_failed", options.get("on_failed")),
                ("on_retry_exhausted", self._exhausted(message, options)),
            ):
                attempt.notify(callback, message, exception, what=what, unless=lambda: not store.is_current(delivery))
            self._broker.emit_after("nack", message)
            return attempt.dead_letter(delivery, message, exception)
        finally:
            del exception

    def _exhausted(self, message: Attempt, options: dict[str, Any]) -> Callable[..., Any] | None:
        """Return what sends the message to the actor that `on_retry_exhausted` names, if no retry was left."""
        name = message.options.get("on_retry_exhausted") or options.get("on_retry_exhausted")
        if not name or message.exhausted is None:
            return None
        return lambda *_: self._broker.get_actor(name).send(message.asdict(), message.exhausted)

    def _undecided(self, delivery: Delivery, message: Attempt, error: Exception) -> Outcome:
        actor = self._broker.actors.get(message.actor_name)
        on_failed = actor.options.get("on_failed") if actor else None
        return attempt.undecided(delivery, message, error, on_failed, self._broker.store)

    def _emit_end(self, signal: str, message: Attempt) -> None:
        """Call the hooks for the end of a message. In dramatiq they come after it was stored, here right before."""
        self._broker.emit_before(signal, message)
        self._broker.emit_after(signal, message)

    def _attempt(self, actor: Any, message: Attempt) -> BaseException | None:
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

    def _call(self, actor: Any, message: Attempt) -> tuple[str, dict[str, Any]]:
        """Call the actor; return the signal to emit after it, and the arguments of the signal."""
        try:
            self._broker.emit_before("process_message", message)
            result = self._result(actor, message) if not message.failed else None
        except SkipMessage as skipped:
            message.rejection = str(skipped)
            message.stuff_exception(skipped)
            logger.info("skipped%s", f": {skipped}" if str(skipped) else "")
            return "skip_message", {}
        except BaseException as error:
            return "process_message", {"exception": self._raised(error, message, actor.options.get("throws") or ())}
        if result is not None:
            self._warn_of_lost_result(actor, message)
        return "process_message", {"result": result}

    def _result(self, actor: Any, message: Attempt) -> Any:
        unit_of_work = self._broker.unit_of_work
        if unit_of_work is None:
            return actor(*message.args, **message.kwargs)
        return unit_of_work.run(actor, message)

    def _warn_of_lost_result(self, actor: Any, message: Attempt) -> None:
        """Log once for each actor that what it returns goes nowhere."""
        if actor.actor_name in self._warned or message.options.get("pipe_target") is not None:
            return
        self._warned.add(actor.actor_name)
        if not any(isinstance(part, Results) for part in self._broker.middleware):
            logger.warning(
                "the actor %s returned a value that nobody keeps: add the Results middleware", actor.actor_name
            )

    def _raised(self, raised: BaseException, message: Attempt, throws: Any) -> BaseException:
        """Return the exception that the attempt ended with, logged."""
        error = self._as_failure(raised, message)
        message.stuff_exception(error)
        _begin_at_actor(error)
        if isinstance(error, RateLimitExceeded):
            logger.debug("the rate limit is exceeded: %s", error)
        elif not isinstance(error, (ExpectedError, Canceled, Retry, Shutdown, throws)):
            # With a traceback, because its text does not say it all.
            logger.error("failed", exc_info=error)
        return error

    def _as_failure(self, error: BaseException, message: Attempt) -> BaseException:
        """Return the exception, or NoProgress for a snoozed delivery that could have made progress and made none."""
        if not isinstance(error, (Snooze, Shutdown)):
            return error
        # A message that makes workers exceed their memory limit must not do so again and again.
        had_no_chance = self._broker.draining.is_set() and not self._broker.over_memory_limit.is_set()
        progressed = attempt.note_progress(message, getattr(error, "progress", None))
        if progressed or getattr(error, "delay", None) is not None or had_no_chance:
            return error
        text = getattr(error, "message", "")
        reason = f" ({text})" if text else ""
        return NoProgress(f"no progress: this delivery was snoozed before it had completed a part{reason}")


def _attempt_number(message: Attempt) -> int:
    retries = message.options.get("retries", 0)
    return retries + 1 if isinstance(retries, int) else 1


def _begin_at_actor(error: BaseException) -> None:
    """Remove Tandem's own frames from the top of the traceback; one that never reached the actor stays complete."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename.startswith(_OWN_FRAMES):
        traceback = traceback.tb_next
    if traceback:
        error.__traceback__ = traceback
