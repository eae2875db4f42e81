"""Health checks: what one is, and how a list of them is run. Imports the standard library only."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

logger = logging.getLogger(__name__)

# Begins what each check says of a Redis that does not answer.
REDIS_AWAY = "Redis does not answer"
# The longest that a check is waited for (seconds).
TIMEOUT = 2.0


class Status(StrEnum):
    """A check's status.

    `WARN`: some work has to wait, while everything is still accepted and stored. `AWAY`: nothing can be served now, and
    a restart of the container would not help. `FAIL`: nothing can be served.
    """

    OK = "ok"
    WARN = "warn"
    AWAY = "away"
    FAIL = "fail"


@dataclass(frozen=True)
class Result:
    """The result of a check; `detail` is a sentence for people."""

    name: str
    status: Status
    detail: str


class Fail(Exception):
    """The service is unavailable."""


class Away(Exception):
    """The service cannot be given now, and a restart would not help: 503 at /readyz, while the container is healthy."""


class Warn(Exception):
    """The service is available, but some work has to wait."""


@dataclass(frozen=True)
class Check:
    """A named check. `run` quickly returns a sentence, or raises Warn, Away or Fail with the reason.

    late: what a timeout counts as; without it, as a failure.
    """

    name: str
    run: Callable[[], str]
    late: Warn | Away | Fail | None = field(default=None, compare=False)


def failing(reason: str) -> Callable[[], str]:
    """Return the function of a check that always fails for this reason."""

    def fail() -> str:
        raise Fail(reason)

    return fail


def run(checks: Iterable[Check], *, timeout: float = TIMEOUT) -> list[Result]:
    """Run all checks in parallel, each for at most `timeout` seconds. One that raises or hangs counts as failed.

    One that hangs forever occupies one thread: until it returns, it is not started again.
    """
    runs = [_start(check) for check in checks]
    return [run.result(timeout) for run in runs]


class _Run(threading.Thread):
    """A running check; its thread does not keep the process from exiting."""

    def __init__(self, check: Check) -> None:
        super().__init__(name=f"check {check.name}", daemon=True)
        self._check = check
        self._began = time.monotonic()
        self._result: Result | None = None

    def run(self) -> None:
        try:
            self._result = _run(self._check)
        finally:
            with _lock:
                _in_flight.pop(self._check, None)

    def result(self, timeout: float) -> Result:
        """Wait for the result until `timeout` seconds after the start."""
        self.join(max(0.0, self._began + timeout - time.monotonic()))
        late = self._check.late or Fail(f"did not answer within {timeout:g} s")
        return self._result or Result(self._check.name, _status(late), str(late))


_lock = threading.Lock()
_in_flight: dict[Check, _Run] = {}


def _start(check: Check) -> _Run:
    with _lock:
        run = _in_flight.get(check)
        if run is None:
            run = _in_flight[check] = _Run(check)
            run.start()
        return run


def worst(results: Iterable[Result]) -> Status:
    """Return the worst status of all results."""
    seen = {result.status for result in results}
    return next((status for status in (Status.FAIL, Status.AWAY, Status.WARN) if status in seen), Status.OK)


def _status(reason: Warn | Away | Fail) -> Status:
    return {Warn: Status.WARN, Away: Status.AWAY}.get(type(reason), Status.FAIL)


def _run(check: Check) -> Result:
    try:
        return Result(check.name, Status.OK, check.run())
    except (Warn, Away, Fail) as reason:
        return Result(check.name, _status(reason), str(reason))
    except Exception as error:
        if _is_of_redis(error):
            # Most of what is looked at is in Redis, and each look would have to say this.
            return Result(check.name, Status.FAIL, f"{REDIS_AWAY}: {error}")
        logger.exception("the check %s broke", check.name)
        return Result(check.name, Status.FAIL, f"the check itself broke: {type(error).__name__}: {error}")


def _is_of_redis(error: Exception) -> bool:
    """Whether it is a redis.RedisError, asked without importing redis."""
    return any(kind.__module__ == "redis.exceptions" and kind.__name__ == "RedisError" for kind in type(error).__mro__)
