"""Tandem, as its users run it."""

from __future__ import annotations

from bench.noops import ACTORS
from work import THREADS


def workers(processes: int) -> list[list[str]]:
    consume = ["queue", "consume", "bench", "--threads", str(THREADS), "--limit", "0"]
    # Under supervisor each has a name of its own, and its successor has the same.
    return [["env", f"SUPERVISOR_PROCESS_NAME=worker_{n:02}", *consume] for n in range(processes)]


def send(name: str, *args: float) -> None:
    ACTORS[name].send(*args)
