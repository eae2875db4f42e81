"""Celery: no results, acknowledged after the work, as by the other contenders."""

from __future__ import annotations

import os

import work
from celery import Celery  # type: ignore[import-not-found]

app = Celery("celery_peer", broker=work.URL)
app.conf.update(task_ignore_result=True, task_acks_late=True, broker_connection_retry_on_startup=True)
TASKS = {name: app.task(getattr(work, name), name=name) for name in ("noop", "mark", "nap", "hold")}


def workers(processes: int) -> list[list[str]]:
    pool = os.environ.get("BENCH_POOL", "threads")
    command = ["celery", "-A", "celery_peer", "worker", "--pool", pool, "-c", str(work.THREADS), "-l", "WARNING"]
    return [[*command, "-n", f"w{n}@%h"] for n in range(processes)]


def send(name: str, *args: float) -> None:
    TASKS[name].delay(*args)
