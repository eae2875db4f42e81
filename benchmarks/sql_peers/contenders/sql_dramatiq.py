"""dramatiq with its own broker and worker, and one session of SQLAlchemy for each message."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from notes_table import note
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

THREADS = int(os.environ.get("BENCH_THREADS", "8"))
TELLS = ()
broker: Any = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)
engine = create_engine(os.environ["BENCH_DATABASE"], pool_size=THREADS, max_overflow=0)


@dramatiq.actor(queue_name="notes")
def plain(number: int) -> None:
    with Session(engine) as session:
        session.add(note(number))
        session.commit()


def workers(processes: int, threads: int) -> list[list[str]]:
    return [["dramatiq", "sql_dramatiq", "-p", str(processes), "-t", str(threads)]]


def helpers() -> list[list[str]]:
    return []


def send(_variant: str, count: int) -> None:
    for number in range(count):
        plain.send(number)


def left() -> int:
    return int(broker.client.hlen("dramatiq:notes.msgs"))
