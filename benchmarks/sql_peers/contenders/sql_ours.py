"""Tandem, as its users run it."""

from __future__ import annotations

from bench_sql.notes import ACTORS

from tandem import get_broker, send_many

#: Variants whose messages send another one.
TELLS = ("direct", "outbox")


def workers(processes: int, threads: int) -> list[list[str]]:
    consume = ["queue", "consume", "notes", "--threads", str(threads), "--limit", "0"]
    # Under supervisor each has a name of its own, and its successor has the same.
    return [["env", f"SUPERVISOR_PROCESS_NAME=worker_{n:02}", *consume] for n in range(processes)]


def helpers() -> list[list[str]]:
    return [["env", "SUPERVISOR_PROCESS_NAME=outbox", "queue", "db", "outbox"]]


def send(variant: str, count: int) -> None:
    send_many(ACTORS[variant], ((number,) for number in range(count)))


def left() -> int:
    return int(get_broker().client.hlen("dramatiq:notes.msgs"))
