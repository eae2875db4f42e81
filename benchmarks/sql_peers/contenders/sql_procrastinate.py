"""procrastinate, whose messages are rows in the same database.

BENCH_VARIANT: coroutines that insert with psycopg and the worker's own pool, or functions with a session of SQLAlchemy.
"""

from __future__ import annotations

import os

from notes_table import INSERT, TEXT, note
from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

THREADS = int(os.environ.get("BENCH_THREADS", "8"))
VARIANT = os.environ.get("BENCH_VARIANT", "async")
TELLS = False
# One for each message, and one each for fetching and for what the worker does beside.
connector = PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=THREADS + 2, max_size=THREADS + 2)
app = App(connector=connector)

if VARIANT == "sync":
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine(os.environ["BENCH_DATABASE"], pool_size=THREADS, max_overflow=0)


async def insert(number: int) -> None:
    async with connector.pool.connection() as connection:
        await connection.execute(INSERT, (number, os.getpid(), TEXT))


def insert_with_session(number: int) -> None:
    with Session(engine) as session:
        session.add(note(number))
        session.commit()


TASK = app.task(name="insert", queue="notes")(insert_with_session if VARIANT == "sync" else insert)


def workers(processes: int, threads: int) -> list[list[str]]:
    worker = ["procrastinate", "--app", "sql_procrastinate.app", "worker", "--queues", "notes"]
    return [[*worker, "--concurrency", str(threads)] for _ in range(processes)]


def helpers() -> list[list[str]]:
    return []


def send(count: int) -> None:
    with app.open():
        TASK.batch_defer(*({"number": number} for number in range(count)))


def left() -> int:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'").fetchone()
    return int(row[0]) if row else 0
