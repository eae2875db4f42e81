"""arq; it looks for messages twice a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import work
import work_async
from arq import create_pool, func  # type: ignore[import-not-found]
from arq.connections import RedisSettings  # type: ignore[import-not-found]

LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"arq": {"level": "WARNING"}}}
pool: Any = None


def _function(name: str) -> Callable[..., Any]:
    async def run(_context: Any, *args: float) -> None:
        await getattr(work_async, name)(*args)

    return run


class WorkerSettings:
    functions = [func(_function(name), name=name) for name in ("noop", "mark", "nap", "hold")]  # noqa: RUF012
    redis_settings = RedisSettings.from_dsn(work.URL)
    max_jobs = work.THREADS
    keep_result = 0


def workers(processes: int) -> list[list[str]]:
    command = ["arq", "arq_peer.WorkerSettings", "--custom-log-dict", "arq_peer.LOGGING"]
    return [command for _ in range(processes)]


async def start() -> None:
    global pool
    pool = await create_pool(WorkerSettings.redis_settings)


async def send(name: str, *args: float) -> None:
    await pool.enqueue_job(name, *args)
