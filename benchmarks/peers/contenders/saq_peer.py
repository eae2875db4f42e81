"""SAQ with retries, because a job without any does not come back from a kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import work
import work_async
from saq import Queue  # type: ignore[import-not-found]

queue = Queue.from_url(work.URL)


def _function(name: str) -> Callable[..., Any]:
    async def run(_context: Any, *, args: list[float]) -> None:
        await getattr(work_async, name)(*args)

    run.__qualname__ = name
    return run


settings = {
    "queue": queue,
    "functions": [(name, _function(name)) for name in ("noop", "mark", "nap", "hold")],
    "concurrency": work.THREADS,
}


def workers(processes: int) -> list[list[str]]:
    return [["saq", "saq_peer.settings", "--workers", str(processes)]]


async def send(name: str, *args: float) -> None:
    await queue.enqueue(name, args=args, retries=3, ttl=-1)
