"""Snooze translations whose model is unreachable, loading, being pulled or busy, without using up an attempt.

The reason and the start of the wait are stored before the message is requeued: if the worker dies in between, the next
delivery only repeats this step.
"""

from __future__ import annotations

import logging
from typing import NoReturn

from app.translation import pulls
from app.translation.circuit_breaker import MIN_BACKOFF, CircuitBreaker
from app.translation.engine.ollama import ModelMissing, OllamaError, OllamaRefused
from app.translation.engine.pull import Pull
from app.translation.models import will_be_pulled
from app.translation.settings import TranslationSettings
from app.translation.store import Store, Translation
from tandem import Clock, PermanentError, Settings, Snooze

logger = logging.getLogger(__name__)


class WaitForModel(Snooze):
    """The translation waits for its model; the reason is already stored."""


class OutOfPatience(PermanentError):
    """A translation has waited for its model for the maximum time."""


class Waiting:
    """Decides which translations of a process wait, and for how long according to `settings`, by the clock of Redis."""

    def __init__(self, store: Store, breaker: CircuitBreaker, settings: TranslationSettings, clock: Clock) -> None:
        self._clock = clock
        self._store = store
        self._breaker = breaker
        self._settings = settings

    @property
    def is_off(self) -> bool:
        """Return whether translations never wait: without OLLAMA_PATIENCE, or if messages are handled synchronously."""
        return not self._settings.ollama_patience or Settings.current().queue_transport == "sync"

    def enter(self, translation: Translation) -> bool:
        """Return whether to try the model first. Raises WaitForModel while another one does, or OutOfPatience."""
        if self.is_off:
            return False
        decision = self._breaker.allow(translation.model)
        if decision.action == "wait":
            self.snooze(translation, decision.reason, delay=decision.delay)
        return decision.action == "try"

    def model_unavailable(self, translation: Translation, error: OllamaError, *, run: str, tried: bool) -> NoReturn:
        """Snooze a translation whose model is unavailable.

        Raises WaitForModel, OutOfPatience, or the error if waiting is useless. tried: whether this was a trial.
        """
        try:
            if isinstance(error, ModelMissing):
                self._check_missing(translation.model, error)
            if self.is_off:
                raise error
        except OllamaError:
            self._breaker.reset(translation.model)
            raise
        self._breaker.trip(translation.model, str(error), tried=tried)
        decision = self._breaker.allow(translation.model)
        self.snooze(translation, str(error), delay=max(decision.delay, MIN_BACKOFF), run=run)

    def _check_missing(self, model: str, error: ModelMissing) -> None:
        """Raise the error, or why the pull failed, if the model will not become available."""
        if not will_be_pulled(model, self._settings):
            raise error
        failed = pulls.failure(model)
        if failed and failed.final:
            raise OllamaRefused(str(failed))

    def claim(self, translation: Translation, error: OllamaError, *, run: str) -> None:
        """Trip the breaker of a silent model; return if this translation has to load the model.

        Raises WaitForModel, OutOfPatience, or the error if translations never wait.
        """
        if self.is_off:
            raise error
        decision = self._breaker.claim_trial(translation.model, str(error))
        if decision.action == "wait":
            self.snooze(translation, str(error), delay=decision.delay, run=run)

    def report(self, translation: Translation, reason: str, *, run: str) -> float:
        """Store why a running translation waits, or that it no longer does; return the seconds of patience left."""
        translation = self._store.without_texts(translation.id) or translation
        now = self._clock.now() // 1000
        since = int(translation.waiting_since or now)
        why = self._why(translation.model, pulls.running(translation.model), reason) if reason else ""
        self._store.note_waiting(translation, why, since=str(since), run=run)
        return max(1.0, since + self._settings.ollama_patience - now)

    def snooze(self, translation: Translation, reason: str, *, delay: int, run: str = "") -> NoReturn:
        """Snooze a translation for `delay` ms. Raises WaitForModel, or OutOfPatience."""
        if run:  # a part finished meanwhile restarts the wait
            translation = self._store.without_texts(translation.id) or translation
        now = self._clock.now() // 1000
        pull = pulls.running(translation.model)
        # Time during a pull does not count.
        since = "" if pull else translation.waiting_since or str(now)
        why = self._why(translation.model, pull, reason)
        if since and now - int(since) >= self._settings.ollama_patience:
            raise OutOfPatience(f"{why}; it has waited for {self._settings.ollama_patience} s (OLLAMA_PATIENCE)")
        if why != translation.error:
            logger.warning("%s", why)
        self._store.snooze(translation, why, since=since, run=run)
        # A delay marks this as no attempt, so it must not be 0.
        raise WaitForModel(why, delay=max(1, delay))

    @staticmethod
    def _why(model: str, pull: Pull | None, reason: str) -> str:
        """Return the message for clients: the progress of a pull, why the last one failed, or Ollama's error."""
        state = pull or pulls.failure(model) or reason
        return f"waits for the model {model}: {state}"
