"""Which messages of actors with `once` have ended: noted in the transaction of their effects."""

from __future__ import annotations

import time

from sqlalchemy import Connection, delete, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tandem.sql.tables import handled

BATCH = 1000
_NOTE_OF_MYSQL = insert(handled).prefix_with("IGNORE")
_NOTE = {
    "postgresql": postgresql.insert(handled).on_conflict_do_nothing().returning(handled.c.message_id),
    "sqlite": sqlite.insert(handled).on_conflict_do_nothing().returning(handled.c.message_id),
}


def note(session: Session, message_id: str) -> bool:
    """Note that a message ends with this transaction; return False if one before has noted it.

    Waits for another transaction that has the same message.
    """
    connection = session.connection()
    values = {"message_id": message_id, "handled_at": round(time.time() * 1000)}
    noting = _NOTE.get(connection.dialect.name)
    if noting is None:
        return connection.execute(_NOTE_OF_MYSQL, values).rowcount == 1
    # psycopg's rowcount of an INSERT is unknown to SQLAlchemy.
    return connection.execute(noting, values).first() is not None


def forget(session: Session, message_id: str) -> None:
    """Remove the note of a message that continues in another delivery."""
    session.execute(delete(handled).where(handled.c.message_id == message_id))


def expire(connection: Connection, before_ms: int) -> int:
    """Remove notes that are older, BATCH at a time; return how many."""
    old = handled.select().with_only_columns(handled.c.message_id).where(handled.c.handled_at < before_ms).limit(BATCH)
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(delete(handled).where(handled.c.message_id.in_(ids)))
    return len(ids)
