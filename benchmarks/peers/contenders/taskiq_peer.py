"""taskiq on a stream of Redis, the one of its brokers that acknowledges."""

from __future__ import annotations

import work
import work_async
from taskiq_redis import RedisStreamBroker  # type: ignore[import-not-found]

broker = RedisStreamBroker(url=work.URL)
TASKS = {name: broker.task(task_name=name)(getattr(work_async, name)) for name in ("noop", "mark", "nap", "hold")}


def workers(processes: int) -> list[list[str]]:
    command = ["taskiq", "worker", "taskiq_peer:broker", "--workers", str(processes)]
    return [[*command, "--max-async-tasks", str(work.THREADS), "--log-level", "WARNING"]]


async def start() -> None:
    await broker.startup()


async def send(name: str, *args: float) -> None:
    await TASKS[name].kiq(*args)
