"""Which messages of actors with `once` have ended: noted in the transaction of their effects."""

from __future__ import annotations

import time
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, delete, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tandem.sql.tables import handled

BATCH = 1000


def note(session: Session, message_id: str) -> bool:
    """Note that a message ends with this transaction; return False if one before has noted it.

    Waits for another transaction that has the same message.
    """
    values = {"message_id": message_id, "handled_at": round(time.time() * 1000)}
    kind = session.get_bind().dialect.name
    if kind not in ("postgresql", "sqlite"):
        ignoring = insert(handled).values(values).prefix_with("IGNORE")
        return cast("CursorResult[Any]", session.execute(ignoring)).rowcount == 1
    insert_of: Any = postgresql.insert if kind == "postgresql" else sqlite.insert
    noted = insert_of(handled).values(values).on_conflict_do_nothing().returning(handled.c.message_id)
    return session.execute(noted).first() is not None


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
