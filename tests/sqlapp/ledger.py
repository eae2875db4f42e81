"""A ledger: each accepted entry is settled once and then receipted once, whatever dies at whichever moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dramatiq
from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tandem import Database, Settings, Snooze, Workload
from tandem.sql import session

from . import kill_points

# Everything but an error of the application's own is retried: databases and Redis die here on purpose.
RETRIED: dict[str, Any] = {"max_retries": 50, "min_backoff": 100, "max_backoff": 1000}


class Base(DeclarativeBase):
    """The tables of the ledger."""


class Entry(Base):
    """What a client has handed in."""

    __tablename__ = "entries"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(String(40))


class Settlement(Base):
    """An effect of a message. Nothing in the table keeps it from being there twice."""

    __tablename__ = "settlements"
    id: Mapped[int] = mapped_column(primary_key=True)
    entry: Mapped[int] = mapped_column(ForeignKey("entries.number"))
    part: Mapped[int] = mapped_column()


class Receipt(Base):
    """An effect of a message that another one has sent in its transaction."""

    __tablename__ = "receipts"
    id: Mapped[int] = mapped_column(primary_key=True)
    entry: Mapped[int] = mapped_column()


@dramatiq.actor(queue_name="ledger", once=True, **RETRIED)
def settle(number: int) -> None:
    """Settle an entry; every tenth in two parts, with a pause between them."""
    done = session().scalar(select(func.count()).select_from(Settlement).where(Settlement.entry == number)) or 0
    session().add(Settlement(entry=number, part=done))
    if number % 10 == 0 and done == 0:
        raise Snooze(progress=1)
    receipt.send(number)
    session().flush()
    if number % 7 == 0:
        # After the sending: what is rolled back must send nothing.
        raise_once(number)


_raised: set[int] = set()


def raise_once(number: int) -> None:
    """Fail the first attempt in this process."""
    if number not in _raised:
        _raised.add(number)
        raise RuntimeError("rolled back on purpose")


@dramatiq.actor(queue_name="ledger", once=True, **RETRIED)
def receipt(number: int) -> None:
    """Write a receipt."""
    session().add(Receipt(entry=number))


def make_blueprint(_settings: Settings) -> Blueprint:
    """Return the routes."""
    routes = Blueprint("ledger", __name__)

    @routes.put("/entries/<int:number>")
    def create(number: int) -> ResponseReturnValue:
        if session().get(Entry, number) is None:
            session().add(Entry(number=number, note="accepted"))
            settle.send(number)
        return {"number": number}, 201

    @routes.put("/refused/<int:number>")
    def refuse(number: int) -> ResponseReturnValue:
        session().add(Entry(number=number, note="refused"))
        settle.send(number)
        session().flush()
        abort(422, "refused on purpose")

    @routes.get("/entries/<int:number>")
    def show(number: int) -> ResponseReturnValue:
        return {"receipts": session().scalar(select(func.count()).select_from(Receipt).where(Receipt.entry == number))}

    @routes.post("/kill-points")
    def arm() -> ResponseReturnValue:
        kill_points.arm(request.get_json()["point"])
        return {}, 204

    return routes


workload = Workload(
    name="ledger",
    blueprint=make_blueprint,
    database=Database(migrations=Path(__file__).parent / "migrations", metadata=Base.metadata),
)
kill_points.install()
