"""Tandem, as its users run it. BENCH_VARIANT: the actor."""

from __future__ import annotations

import os

from bench_sql.notes import ACTORS

from tandem import get_broker, send_many

ACTOR = ACTORS[os.environ.get("BENCH_VARIANT", "plain")]
TELLS = ACTOR.actor_name in ("direct", "outbox")


def workers(processes: int, threads: int) -> list[list[str]]:
    consume = ["queue", "consume", "notes", "--threads", str(threads), "--limit", "0"]
    # Under supervisor each has a name of its own, and its successor has the same.
    return [["env", f"SUPERVISOR_PROCESS_NAME=worker_{n:02}", *consume] for n in range(processes)]


def helpers() -> list[list[str]]:
    return [["env", "SUPERVISOR_PROCESS_NAME=outbox", "queue", "db", "outbox"]]


def send(count: int) -> None:
    send_many(ACTOR, ((number,) for number in range(count)))


def left() -> int:
    return int(get_broker().client.hlen("dramatiq:notes.msgs"))
