"""The commands `queue db …`, and the program `outbox`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import redis
from dramatiq.errors import BrokerConnectionError
from sqlalchemy.exc import SQLAlchemyError

from tandem import logs
from tandem.config.settings import Settings
from tandem.sql import handled, migrations, outbox
from tandem.sql.engine import make_engine, relay_engine, shown
from tandem.sql.errors import brief
from tandem.sql.migrations import History, SchemaError
from tandem.sql.settings import SqlSettings
from tandem.support.backoff import Backoff

logger = logging.getLogger("tandem.sql.outbox")

# How often the program looks for messages that a dead process has left, and how often it forgets old notes (seconds).
LOOK_SECONDS = 0.5
EXPIRE_SECONDS = 60.0


def make(histories: list[History]) -> click.Group:
    """Return the group of commands."""

    @click.group()
    @click.pass_context
    def db(context: click.Context) -> None:
        """See and change the schema of the database (DATABASE_URL)."""
        context.obj = histories

    for one in (upgrade, current, history, revision, relay):
        db.add_command(one)
    return db


@click.command()
@click.pass_obj
def upgrade(histories: list[History]) -> None:
    """Bring the schema up to date. Each start of a container does the same."""
    with _failures_in_one_line():
        done = migrations.upgrade(make_engine(2), histories, seconds=Settings.current().start_step_timeout)
    changed = f"upgraded the tables of {', '.join(done)}" if done else "the schema is up to date"
    click.echo(f"{changed}; next: queue db current")


@click.command()
@click.pass_obj
def current(histories: list[History]) -> None:
    """Print the version of each owner's tables, and the newest one."""
    with _failures_in_one_line(), make_engine(1).connect() as connection:
        versions = [(one, one.current(connection), one.heads(), one.is_ahead(connection)) for one in histories]
    for one, now, newest, ahead in versions:
        state = "up to date" if now == newest else f"newest {_named(newest)}; next: queue db upgrade"
        state = "of a later version than this image" if ahead else state
        click.echo(f"{one.owner:<20} {_named(now):<20} {state}")


@click.command()
@click.pass_obj
def history(histories: list[History]) -> None:
    """Print the migrations of each owner, newest first."""
    for one in histories:
        for script in one.script().walk_revisions():
            click.echo(f"{one.owner:<20} {script.revision:<20} {script.doc}")


@click.command()
@click.option("-m", "--message", required=True, help="What it changes, in a few words.")
@click.option("--workload", help="Whose migration it is, if several workloads have some.")
@click.option("--autogenerate", is_flag=True, help="Compare the tables of the workload with the database.")
@click.pass_obj
def revision(histories: list[History], message: str, workload: str | None, autogenerate: bool) -> None:
    """Write a new migration, to be read and completed before it runs."""
    from alembic import command

    chosen = _chosen(histories, workload)
    number = f"{len(list(chosen.script().walk_revisions())) + 1:04}"
    with _failures_in_one_line(), make_engine(1).connect() as connection:
        made = command.revision(chosen.config(connection), message, autogenerate=autogenerate, rev_id=number)
    click.echo(f"wrote {getattr(made, 'path', chosen.folder)}; next: read it, then queue db upgrade")


@click.command("outbox", hidden=True)
def relay() -> None:
    """Send what dead processes have left in the outbox, until SIGTERM."""
    _relay(SqlSettings.current().once_retention)


def _named(versions: set[str]) -> str:
    return ", ".join(sorted(versions)) or "none"


def _chosen(histories: list[History], workload: str | None) -> History:
    found = [one for one in histories if one is not migrations.OWN and workload in (None, one.owner)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.owner for one in histories if one is not migrations.OWN) or "none has migrations"
    raise click.ClickException(f"--workload={workload or ''} is invalid: expected one of {names}")


@contextmanager
def _failures_in_one_line() -> Iterator[None]:
    """Exit with 1 after what the database, Alembic or the disk has raised."""
    from alembic.util.exc import CommandError

    try:
        yield
    except (SQLAlchemyError, CommandError, SchemaError, OSError) as error:
        click.echo(f"Error: {shown(SqlSettings.current().url)}: {brief(error)}", err=True)
        sys.exit(1)


def _relay(retention: int) -> None:
    config = Settings.current()
    logs.configure(config.log_level, config.log_format)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    backoff, expired_at, troubled = Backoff(LOOK_SECONDS, 10), 0.0, False
    logger.info("watching the outbox in %s", shown(SqlSettings.current().url))
    while not stopped.is_set():
        try:
            while sent := outbox.send_left_over():
                logger.info("sent %d messages that their process had left in the outbox", sent)
            if time.monotonic() - expired_at > EXPIRE_SECONDS:
                expired_at = time.monotonic()
                _expire(retention)
        except (SQLAlchemyError, redis.RedisError, BrokerConnectionError) as error:
            if not troubled:
                logger.warning("the outbox waits: %s", brief(error))
            troubled = True
            stopped.wait(backoff.pause)
            backoff.grow()
            continue
        if troubled:
            logger.info("the outbox continues")
        troubled, backoff = False, Backoff(LOOK_SECONDS, 10)
        stopped.wait(LOOK_SECONDS)


def _expire(retention: int) -> None:
    before = round((time.time() - retention) * 1000)
    while True:
        with relay_engine().begin() as connection:
            if handled.expire(connection, before) < handled.BATCH:
                return
