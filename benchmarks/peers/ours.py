"""Tandem, as its users run it."""

from __future__ import annotations

from work import THREADS

from app import settings, workloads
from app.queueing import broker

broker.install(settings.current())
workloads.load()

from app.noops import ACTORS  # noqa: E402  declared on the broker that is installed


def workers(processes: int) -> list[list[str]]:
    consume = ["queue", "consume", "bench", "--threads", str(THREADS), "--limit", "0"]
    # Under supervisor each has a name of its own, and its successor has the same.
    return [["env", f"SUPERVISOR_PROCESS_NAME=worker_{n:02}", *consume] for n in range(processes)]


def send(name: str, *args: float) -> None:
    ACTORS[name].send(*args)
