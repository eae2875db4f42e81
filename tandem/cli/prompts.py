"""Destructive commands ask for confirmation."""

from __future__ import annotations

import sys

import click

force_option = click.option("--force", is_flag=True, help="Do not ask for confirmation.")


def confirm(question: str, *, force: bool) -> None:
    """Ask for confirmation. Raises ClickException if the answer is no, or if stdin is not a terminal."""
    if force:
        return
    if not (sys.stdin and sys.stdin.isatty()):
        raise click.ClickException(
            f"{question} Cannot ask for confirmation because stdin is not a terminal; use --force to proceed"
        )
    if not click.confirm(question):
        raise click.ClickException("nothing was changed")
