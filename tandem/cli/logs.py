"""The command `queue logs`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from tandem.operate import worker_logs
from tandem.support.escapes import escaped
from tandem.support.formatting import table
from tandem.support.times import iso


@click.command("logs")
@click.argument("numbers", nargs=-1, type=click.IntRange(0), metavar="[NUMBER]...")
@click.option("-f", "--follow", is_flag=True, help="Follow new lines, across rotations.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 1_000_000), default=50, show_default=True, help="Number of lines."
)
@click.option("-e", "--errors", is_flag=True, help="Warnings and errors only.")
@click.option("--since", help="Not older than 30s, 10m, 2h, 1d or 2026-11-22T05:30:00.")
@click.option("--message", metavar="ID", help="Only lines about this message, in the logs of this container.")
@click.option("--actions", is_flag=True, help="What operators have done instead: the newest actions of all containers.")
def show_logs(
    numbers: tuple[int, ...],
    follow: bool,
    lines: int,
    errors: bool,
    since: str | None,
    message: str | None,
    actions: bool,
) -> None:
    """Print the newest log lines of all workers, or of the workers with these NUMBERs."""
    if follow and (actions or message is not None):
        raise click.UsageError("--follow cannot be combined with --message or --actions")
    if actions:
        _show_actions(lines)
        return
    try:
        moment = worker_logs.parse_since(since, datetime.now(UTC)) if since else worker_logs.LONG_AGO
        stream = worker_logs.WorkerLogs(numbers, errors_only=errors)
    except (ValueError, worker_logs.NoLogs) as error:
        raise click.ClickException(str(error)) from error
    colour = sys.stdout.isatty()
    if message is not None:
        _show_message(stream, message, lines, moment, colour=colour)
        return
    for record in stream.newest(lines, moment):
        click.echo("\n".join(worker_logs.painted(record, colour=colour)))
    if follow:
        for record in stream.follow():
            click.echo("\n".join(worker_logs.painted(record, colour=colour)))


def _show_message(stream: worker_logs.WorkerLogs, id_: str, most: int, since: datetime, *, colour: bool) -> None:
    found = [record for record in stream.of_message(id_, most=most) if record.stamp >= since]
    for record in found:
        click.echo("\n".join(worker_logs.painted(record, colour=colour)))
    if not found:
        click.echo("no line here is about it: another container has run it, or its lines were rotated away")


def _show_actions(most: int) -> None:
    from tandem.broker.connection import connect
    from tandem.config import settings
    from tandem.operate import action_log

    actions = action_log.newest(connect(settings.current()), most)
    rows = [(iso(action.at), action.who, action.what, str(action.count), action.about) for action in reversed(actions)]
    if rows:
        click.echo("\n".join(table(("TIME", "WHO", "WHAT", "COUNT", "ABOUT"), "<<<><", [_safe(row) for row in rows])))
    else:
        click.echo("no operator has done anything so far")


def _safe(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(escaped, row))
