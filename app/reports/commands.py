"""The commands `queue visits …`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from typing import TextIO

import click
from sqlalchemy.exc import SQLAlchemyError

from app.reports import visits as stored
from tandem.sql import DatabaseUnavailable, transaction

BATCH = 1000
COLUMNS = {"page", "at", "note"}


@click.group()
def visits() -> None:
    """Work with the visits of pages."""


@visits.command("import")
@click.argument("file", type=click.File(encoding="utf-8-sig"))
def import_(file: TextIO) -> None:
    """Store the visits of FILE (- for standard input): all of them or none.

    FILE is CSV in UTF-8. Its first line names the columns: page and, if they are there, at and note.
    """
    count = 0
    try:
        with transaction() as session:
            rows = _rows(file)
            while batch := list(islice(rows, BATCH)):
                count += len(stored.add(session, batch))
    except (csv.Error, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file.name} is not CSV in UTF-8: {error}") from error
    except (DatabaseUnavailable, SQLAlchemyError) as error:
        raise click.ClickException(f"nothing was stored: {error}") from error
    click.echo(f"stored {count:,} visits; next: GET /reports?period=monthly")


def _rows(file: TextIO) -> Iterator[stored.NewVisit]:
    """Yield the visits of a file. Raises ClickException with the line of one that is invalid."""
    reader = csv.DictReader(file, strict=True)
    names = reader.fieldnames or []
    if not {"page"} <= set(names) <= COLUMNS:
        raise click.ClickException(f"{file.name} has the columns {', '.join(names)}: expected page, at, note")
    for row in reader:
        if None in row:
            raise click.ClickException(f"{file.name}, line {reader.line_num}: expected {len(names)} fields")
        try:
            yield stored.read({name: value for name, value in row.items() if value})
        except stored.InvalidVisit as error:
            raise click.ClickException(f"{file.name}, line {reader.line_num}: {error}") from error
