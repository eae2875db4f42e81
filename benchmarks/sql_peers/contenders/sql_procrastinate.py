"""procrastinate, whose messages are rows in the same database.

psycopg: coroutines that insert with the worker's own pool; sqlalchemy: functions with a session of SQLAlchemy.
"""

from __future__ import annotations

import os

from notes_table import INSERT, TEXT, note
from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

THREADS = int(os.environ.get("BENCH_THREADS", "8"))
TELLS = ()
# One for each message, and one each for fetching and for what the worker does beside.
connector = PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=THREADS + 2, max_size=THREADS + 2)
app = App(connector=connector)
engine = create_engine(os.environ["BENCH_DATABASE"], pool_size=THREADS, max_overflow=0)


async def insert(number: int) -> None:
    async with connector.pool.connection() as connection:
        await connection.execute(INSERT, (number, os.getpid(), TEXT))


def insert_with_session(number: int) -> None:
    with Session(engine) as session:
        session.add(note(number))
        session.commit()


TASKS = {
    "psycopg": app.task(name="psycopg", queue="notes")(insert),
    "sqlalchemy": app.task(name="sqlalchemy", queue="notes")(insert_with_session),
}


def workers(processes: int, threads: int) -> list[list[str]]:
    worker = ["procrastinate", "--app", "sql_procrastinate.app", "worker", "--queues", "notes"]
    return [[*worker, "--concurrency", str(threads)] for _ in range(processes)]


def helpers() -> list[list[str]]:
    return []


def send(variant: str, count: int) -> None:
    with app.open():
        TASKS[variant].batch_defer(*({"number": number} for number in range(count)))


def left() -> int:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'").fetchone()
    return int(row[0]) if row else 0
