"""Accounts: actors and routes that do to a database what real ones sometimes do."""

from __future__ import annotations

import time
from pathlib import Path

import dramatiq
from dramatiq.middleware import TimeLimitExceeded
from flask import Blueprint, abort, request
from sqlalchemy import ForeignKey, String, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tandem import Database, Snooze, Workload
from tandem.sql import session


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)


class Booking(Base):
    __tablename__ = "bookings"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    note: Mapped[str] = mapped_column(String(20))


class Conflict(Exception):
    """What a driver raises for a deadlock."""

    sqlstate = "40P01"


attempts: list[str] = []
interrupted: list[BaseException] = []


@dramatiq.actor(max_retries=0)
def add(name: str) -> None:
    session().add(Account(name=name))


@dramatiq.actor(max_retries=0)
def add_many(count: int) -> None:
    session().add_all(Account(name=f"account {number}") for number in range(count))


@dramatiq.actor(max_retries=0)
def add_and_fail(name: str) -> None:
    session().add(Account(name=name))
    session().flush()
    tell.send(name)
    raise RuntimeError("a defect")


@dramatiq.actor(max_retries=0)
def add_and_tell(name: str) -> None:
    session().add(Account(name=name))
    tell.send(name)
    tell.send(f"{name} again")
    tell.send_with_options(args=(f"{name} at once",), outbox=False)


@dramatiq.actor(queue_name="told")
def tell(name: str) -> None:
    attempts.append(name)


@dramatiq.actor(queue_name="told", unique=True)
def tell_once(name: str) -> None:
    attempts.append(name)


@dramatiq.actor(max_retries=0)
def send_unique(name: str) -> None:
    session().execute(text("SELECT 1"))
    tell_once.send(name)
    tell_once.send(name)


@dramatiq.actor(max_retries=0)
def send_without_session(name: str) -> None:
    tell.send(name)
    raise RuntimeError("a defect after the sending")


@dramatiq.actor(once=True, max_retries=1, retry_delay=1)
def book(account: str, note: str, fail: int = 0) -> None:
    attempts.append(note)
    owner = session().scalars(select(Account).where(Account.name == account)).one()
    session().add(Booking(account_id=owner.id, note=note))
    session().flush()
    if len(attempts) <= fail:
        raise RuntimeError("fails for now")


@dramatiq.actor(once=True, max_retries=0)
def book_in_parts(parts: int) -> None:
    done = len(session().scalars(select(Account)).all())
    session().add(Account(name=f"part {done}"))
    if done + 1 < parts:
        raise Snooze(progress=done + 1)


@dramatiq.actor(max_retries=0)
def meet(times: int) -> None:
    """Meets another transaction so many times."""
    session().add(Account(name=f"attempt {len(attempts)}"))
    session().flush()
    attempts.append("met")
    if len(attempts) <= times:
        raise OperationalError("UPDATE", {}, Conflict("deadlock detected"))


@dramatiq.actor(max_retries=0, time_limit=500)
def dawdle(name: str) -> None:
    session().add(Account(name=name))
    session().flush()
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            session().execute(text("SELECT 1"))
    except TimeLimitExceeded as error:
        # As a log of errors does: its traceback keeps the statement that was interrupted.
        interrupted.append(error)
        raise


@dramatiq.actor(max_retries=0)
def orphan() -> None:
    session().add(Booking(account_id=4711, note="nobody's"))


@dramatiq.actor(max_retries=0)
def broken_statement() -> None:
    session().execute(text("SELECT nothing FROM nowhere"))


routes = Blueprint("accounts", __name__)


@routes.post("/accounts/<name>")
def create(name: str):
    session().add(Account(name=name))
    tell.send(name)
    if request.args.get("abort"):
        abort(422, "not this one")
    if request.args.get("break"):
        raise RuntimeError("a defect")
    return {"name": name}, 201


@routes.get("/accounts")
def show():
    return {"names": sorted(session().scalars(select(Account.name)))}


workload = Workload(
    name="accounts",
    blueprint=lambda _settings: routes,
    database=Database(migrations=Path(__file__).parent / "migrations", metadata=Base.metadata),
)
