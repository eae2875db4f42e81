"""huey with threads."""

from __future__ import annotations

import signal

import work
from huey import RedisHuey  # type: ignore[import-not-found]

huey = RedisHuey("bench", url=work.URL, results=False)
TASKS = {name: huey.task(name=name)(getattr(work, name)) for name in ("noop", "mark", "nap", "hold")}
# SIGTERM would break off what runs.
STOP = signal.SIGINT


def workers(processes: int) -> list[list[str]]:
    command = ["huey_consumer", "huey_peer.huey", "-w", str(work.THREADS), "-k", "thread", "-q"]
    return [command for _ in range(processes)]


def send(name: str, *args: float) -> None:
    TASKS[name](*args)
