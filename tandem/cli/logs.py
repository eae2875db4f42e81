"""The command `queue logs`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from tandem.operate import worker_logs


@click.command("logs")
@click.argument("numbers", nargs=-1, type=click.IntRange(0), metavar="[NUMBER]...")
@click.option("-f", "--follow", is_flag=True, help="Follow new lines, across rotations.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 1_000_000), default=50, show_default=True, help="Number of lines."
)
@click.option("-e", "--errors", is_flag=True, help="Warnings and errors only.")
@click.option("--since", help="Not older than 30s, 10m, 2h, 1d or 2026-11-22T05:30:00.")
def show_logs(numbers: tuple[int, ...], follow: bool, lines: int, errors: bool, since: str | None) -> None:
    """Print the newest log lines of all workers, or of the workers with these NUMBERs."""
    try:
        moment = worker_logs.parse_since(since, datetime.now(UTC)) if since else worker_logs.LONG_AGO
        stream = worker_logs.WorkerLogs(numbers, errors_only=errors)
    except (ValueError, worker_logs.NoLogs) as error:
        raise click.ClickException(str(error)) from error
    colour = sys.stdout.isatty()
    for record in stream.newest(lines, moment):
        click.echo("\n".join(worker_logs.painted(record, colour=colour)))
    if follow:
        for record in stream.follow():
            click.echo("\n".join(worker_logs.painted(record, colour=colour)))
