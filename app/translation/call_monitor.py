"""Monitor the calls of this process: report the progress of each, and end those whose answer is no longer needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from app.translation.circuit_breaker import CircuitBreaker
from app.translation.engine.ollama import Call
from app.translation.store import Store

logger = logging.getLogger(__name__)

# Seconds between two checks: the maximum age of the reported progress, and the maximum delay of a cancellation.
POLL_INTERVAL = 0.5


@dataclass
class _Watched:
    id: str
    run: str
    heartbeat: Callable[[], None] | None
    patient: bool
    reported: int = 0


class CallMonitor:
    """One thread for all calls of the process; it starts with the first call and sleeps while there are none.

    breaker: records that a call was answered. silence: seconds after which a call without any byte is given up, unless
    other calls were answered meanwhile: then it is queued in Ollama. is_stopping: whether this process is stopping,
    which cancels calls that wait for loading or for other calls, but no answered ones.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        *,
        breaker: Callable[[], CircuitBreaker],
        silence: Callable[[], float],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._breaker = breaker
        self._silence = silence
        self._is_stopping = is_stopping
        self._calls: dict[Call, _Watched] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def call(
        self,
        id: str,
        run: str,
        *,
        wait: float | None = None,
        heartbeat: Callable[[], None] | None = None,
        patient: bool = False,
    ) -> Iterator[Call]:
        """Open a call for this run of a translation and watch it within the context.

        wait: as in Call. heartbeat: called at each check. patient: whether never to give the call up for its silence.
        """
        call = Call(wait=wait)
        with self._change:
            self._calls[call] = _Watched(id, run, heartbeat, patient=patient)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="calls", daemon=True)
                self._thread.start()
            self._change.notify()
        try:
            yield call
        finally:
            with self._change:
                del self._calls[call]

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            with self._change:
                self._change.wait_for(lambda: self._calls)
                calls = list(self._calls.items())
            for call, watched in calls:
                self._check(call, watched)
            pause.wait(POLL_INTERVAL)

    def _check(self, call: Call, watched: _Watched) -> None:
        try:
            is_needed = self._report(call, watched)
            silent = not (call.answered or watched.patient) and self._is_silent(call)
            must_not_wait = self._is_stopping() and not call.answered and (watched.patient or self._is_late(call))
        except redis.RedisError as error:
            logger.debug("failed to report the progress of %s: %s", watched.id, error)
            return
        if not is_needed or must_not_wait:
            call.cancel()
        elif silent:
            call.give_up()

    def _report(self, call: Call, watched: _Watched) -> bool:
        """Report the progress of a call; return whether its answer is still needed."""
        if watched.heartbeat:
            watched.heartbeat()
        characters = call.characters
        if characters == watched.reported:
            return self._store().is_running(watched.id, watched.run)
        self._breaker().record_answer(seconds=self._silence())
        is_needed = self._store().note_characters(watched.id, watched.run, characters)
        watched.reported = characters
        return is_needed

    def _is_silent(self, call: Call) -> bool:
        return self._is_late(call) and not self._breaker().answered_recently()

    def _is_late(self, call: Call) -> bool:
        return time.monotonic() - call.began > self._silence()
