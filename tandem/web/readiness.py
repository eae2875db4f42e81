"""Shares one run of all checks between requests: checks query other services, and /readyz is public."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock

from tandem.health.checks import Result

FRESH_SECONDS = 2.0
# During a run the previous results are returned, unless they are older than this.
STALE_SECONDS = 15.0
# How long a request waits for a run.
MAX_CHECK_SECONDS = 30.0


class Busy(Exception):
    """A run is in progress, and the limit of waiting requests is reached."""


class SharedReadiness:
    """Results that are at most FRESH_SECONDS old, from one run at a time, for which `max_waiting` requests may wait."""

    def __init__(self, run: Callable[[], list[Result]], *, max_waiting: int) -> None:
        self._run_checks = run
        self._free_slots = max_waiting
        self._lock = Lock()
        self._running: Future[list[Result]] | None = None
        self._results: list[Result] | None = None
        self._at = 0.0

    def results(self) -> list[Result]:
        """Return the results of the checks. Raises Busy, TimeoutError."""
        with self._lock:
            if (cached := self._cached()) is not None:
                return cached
            if (running := self._running) is None:
                own = self._running = Future()
            elif not self._free_slots:
                raise Busy
            else:
                self._free_slots -= 1
        return self._wait(running) if running else self._run(own)

    def _cached(self) -> list[Result] | None:
        age = time.monotonic() - self._at
        allowed = STALE_SECONDS if self._running else FRESH_SECONDS
        return self._results if age < allowed else None

    def _wait(self, running: Future[list[Result]]) -> list[Result]:
        try:
            return running.result(MAX_CHECK_SECONDS)
        finally:
            with self._lock:
                self._free_slots += 1

    def _run(self, own: Future[list[Result]]) -> list[Result]:
        try:
            results = self._run_checks()
        except BaseException as error:
            with self._lock:
                self._running = None
            own.set_exception(error)
            raise
        with self._lock:
            self._results, self._at, self._running = results, time.monotonic(), None
        own.set_result(results)
        return results
