"""RQ with its SimpleWorker, the quickest: one message at a time, without a fork for each."""

from __future__ import annotations

import work
from rq import Queue  # type: ignore[import-not-found]

queue = Queue("bench", connection=work.client)


def workers(processes: int) -> list[list[str]]:
    command = ["rq", "worker", "--url", work.URL, "--worker-class", "rq.SimpleWorker", "--logging_level", "WARNING"]
    return [[*command, "bench"] for _ in range(processes)]


def send(name: str, *args: float) -> None:
    queue.enqueue(f"work.{name}", *args, result_ttl=0)
