"""The one table of all contenders, and the row that a message inserts."""

from __future__ import annotations

import os

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: For the contender that writes without SQLAlchemy.
INSERT = "INSERT INTO notes (number, worker, text) VALUES (%s, %s, %s)"
TEXT = "what a message has to say"


class Base(DeclarativeBase):
    pass


class Note(Base):
    """worker: the process that has inserted it."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    worker: Mapped[int]
    text: Mapped[str] = mapped_column(String(40))


def note(number: int) -> Note:
    return Note(number=number, worker=os.getpid(), text=TEXT)
