"""Messages that insert one row each, as a workload of Tandem."""

from __future__ import annotations

from pathlib import Path

import click
import dramatiq
from notes_table import Base, note

from tandem import Database, Workload, send_many
from tandem.sql import session


@dramatiq.actor(queue_name="told")
def tell(_number: int) -> None:
    """Nothing: no worker takes this queue."""


@dramatiq.actor(queue_name="notes")
def plain(number: int) -> None:
    """Insert a row."""
    session().add(note(number))


@dramatiq.actor(queue_name="notes")
def direct(number: int) -> None:
    """Insert a row and send a message at once, whether or not the transaction commits."""
    session().add(note(number))
    tell.send_with_options(args=(number,), outbox=False)


@dramatiq.actor(queue_name="notes")
def outbox(number: int) -> None:
    """Insert a row and send a message if the transaction commits."""
    session().add(note(number))
    tell.send(number)


@dramatiq.actor(queue_name="notes", once=True)
def once(number: int) -> None:
    """Insert a row once, however often the message is delivered."""
    session().add(note(number))


ACTORS = {actor.actor_name: actor for actor in (plain, direct, outbox, once)}


@click.command()
@click.argument("messages", type=int)
def count(messages: int) -> None:
    """Send so many messages that insert a row."""
    send_many(plain, ((number,) for number in range(messages)))


workload = Workload(
    name="notes",
    commands=lambda: (count,),
    database=Database(migrations=Path(__file__).parent / "migrations", metadata=Base.metadata),
)
