"""Probes of what happens when actors fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.errors import RateLimitExceeded, Retry

from tests.conformance.probes.lab import (
    QUICK,
    Lab,
    Oh,
    add,
    current,
    failing,
    probe,
)

FAILURES: dict[str, tuple[int, dict[str, Any]]] = {
    "no retries": (9, {"max_retries": 0}),
    "one retry": (9, {"max_retries": 1}),
    "three retries": (9, {"max_retries": 3}),
    "three retries, succeeds at the second attempt": (1, {"max_retries": 3}),
    "three retries, succeeds at the last attempt": (3, {"max_retries": 3}),
    "no limit of retries, succeeds at the fifth attempt": (4, {"max_retries": None}),
    "a time limit": (0, {"max_retries": 0, "time_limit": 60_000}),
    "on_retry_exhausted": (9, {"max_retries": 1, "on_retry_exhausted": "exhausted"}),
    "on_retry_exhausted that is not needed": (1, {"max_retries": 1, "on_retry_exhausted": "exhausted"}),
    "min_backoff above max_backoff": (1, {"max_retries": 1, "min_backoff": 50, "max_backoff": 5}),
    "a high max_age": (1, {"max_retries": 1, "max_age": 3_600_000}),
}


def _fails(lab: Lab, times: int, options: dict[str, Any], *, of_message: bool) -> dict[str, Any]:
    options = {**QUICK, **options}
    exhausted: list[Any] = []
    dramatiq.actor(broker=lab.broker, actor_name="exhausted")(
        lambda message, retries: exhausted.append([message["args"], retries])
    )
    work = lab.actor(failing(times), **({} if of_message else options))
    work.send_with_options(args=(1,), **(options if of_message else {}))
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary(), "exhausted": exhausted}


def _retries(lab: Lab, times: int, options: dict[str, Any]) -> object:
    seen: list[Any] = []
    fail = failing(times)

    def act(*arguments: Any) -> Any:
        seen.append(current())
        return fail(*arguments)

    lab.actor(name="exhausted")
    work = lab.actor(act, **{**QUICK, **options})
    work.send(1)
    lab.work(work)
    return seen


for _name, (_times, _options) in FAILURES.items():
    add(f"failure, options of the actor: {_name}", _fails, _times, _options, of_message=False)
    add(f"failure, options of the message: {_name}", _fails, _times, _options, of_message=True)
    add(f"what an attempt sees of the ones before: {_name}", _retries, _times, _options)


def _raises(lab: Lab, error: Callable[[], BaseException], **options: Any) -> dict[str, Any]:
    work = lab.actor(failing(9, error), **{**QUICK, "max_retries": 2, **options})
    work.send(1)
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}


RAISED: dict[str, tuple[Callable[[], BaseException], dict[str, Any]]] = {
    "throws": (Oh, {"throws": Oh}),
    "a tuple in throws": (Oh, {"throws": (KeyError, Oh)}),
    "a class of throws above it": (lambda: KeyError("a"), {"throws": LookupError}),
    "another class in throws": (Oh, {"throws": KeyError}),
    "Retry": (lambda: Retry("again"), {}),
    "Retry with a delay": (lambda: Retry("again", delay=5), {}),
    "Retry in throws": (lambda: Retry("again"), {"throws": Retry}),
    "retry_when that says no": (Oh, {"retry_when": lambda _retries, _error: False}),
    "retry_when that says yes twice": (Oh, {"retry_when": lambda retries, _error: retries < 2}),
    "retry_when that looks at the exception": (Oh, {"retry_when": lambda _r, error: not isinstance(error, Oh)}),
    "a BaseException": (lambda: BaseException("b"), {}),
    "an exception without a text": (Exception, {}),
    "an exception with a text in unicode": (lambda: Exception("schön ☃"), {}),
    "an exception with other arguments": (lambda: Exception(1, {"a": 2}), {}),
    "TimeoutError": (lambda: TimeoutError("t"), {}),
    "RateLimitExceeded with max_retries": (lambda: RateLimitExceeded("r"), {}),
    "AssertionError": (AssertionError, {"max_retries": 0}),
    "StopIteration": (lambda: StopIteration(1), {"max_retries": 1}),
}
for _name, (_error, _options) in RAISED.items():
    add(f"an actor raises: {_name}", _raises, _error, **_options)


@probe("the time limit is exceeded")
def _(lab: Lab) -> object:
    def act() -> None:
        for _ in range(200):
            time.sleep(0.02)

    work = lab.actor(act, max_retries=0, time_limit=100)
    work.send()
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}


@probe("a message without an actor becomes a dead letter")
def _(lab: Lab) -> object:
    work = lab.actor()
    lab.broker.enqueue(dramatiq.Message("default", "nobody", (), {}, {}))
    work.send(1)
    lab.work(work)
    return lab.outcome()


@probe("a message that is older than max_age does not run")
def _(lab: Lab) -> object:
    work = lab.actor(max_age=1000)
    lab.broker.enqueue(work.message(1).copy(message_timestamp=int(time.time() * 1000) - 5000))
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}


@probe("max_age of a message that is too old")
def _(lab: Lab) -> object:
    work = lab.actor()
    old = work.message_with_options(args=(1,), max_age=1000)
    lab.broker.enqueue(old.copy(message_timestamp=int(time.time() * 1000) - 5000))
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}
