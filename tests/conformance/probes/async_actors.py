"""Probes of async actors and dramatiq's rate limiters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.middleware import AsyncIO
from dramatiq.rate_limits import BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter

from tests.conformance.probes.lab import (
    QUICK,
    Lab,
    Oh,
    add,
    collected,
    current,
    failing,
)


def _async(lab: Lab, times: int, **options: Any) -> object:
    lab.broker.add_middleware(AsyncIO()) if not any(type(p) is AsyncIO for p in lab.broker.middleware) else None
    fail, seen = failing(times), list[Any]()

    async def act(number: int) -> Any:
        await asyncio.sleep(0)
        seen.append([number, current()["retries"]])
        return fail()

    work = dramatiq.actor(broker=lab.broker, actor_name="work", **{**QUICK, "store_results": True, **options})(act)
    sent = work.send(1)
    lab.work(work)
    return [seen, lab.dead(), collected(lab, [sent])]


ASYNC: dict[str, tuple[int, dict[str, Any]]] = {
    "success": (0, {}),
    "a retry": (1, {"max_retries": 2}),
    "failure": (9, {"max_retries": 1}),
    "throws": (9, {"throws": Oh}),
}
for _name, (_times, _options) in ASYNC.items():
    add(f"an async actor: {_name}", _async, _times, **_options)


def _limited(lab: Lab, make: Callable[[Any], Any]) -> object:
    limiter, done = make(lab.limits), list[int]()

    def act(number: int) -> None:
        with limiter.acquire():
            time.sleep(0.05)
            done.append(number)

    work = lab.actor(act, max_retries=None, min_backoff=20, max_backoff=40)
    for number in range(3):
        work.send(number)
    lab.work(work)
    return [sorted(done), lab.dead()]


LIMITERS: dict[str, Callable[[Any], Any]] = {
    "concurrent": lambda backend: ConcurrentRateLimiter(backend, "mutex", limit=1),
    "bucket": lambda backend: BucketRateLimiter(backend, "bucket", limit=1, bucket=100),
    "window": lambda backend: WindowRateLimiter(backend, "window", limit=2, window=1),
}
for _name, _make in LIMITERS.items():
    add(f"a limiter of dramatiq: {_name}", _limited, _make)
