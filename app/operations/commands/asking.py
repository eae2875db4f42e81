"""Commands that destroy ask first."""

from __future__ import annotations

import sys

import click

force_option = click.option("--force", is_flag=True, help="Do not ask.")


def confirm(question: str, *, force: bool) -> None:
    """Asks, and leaves with 1 on a no. Raises ClickException where nobody can be asked."""
    if force:
        return
    if not (sys.stdin and sys.stdin.isatty()):
        raise click.ClickException(f"{question} Nobody can be asked without a terminal: say --force if so")
    if not click.confirm(question):
        raise click.ClickException("nothing was changed")
