"""The command `queue actors`."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from app.operations.commands.display import table
from app.operations.commands.terminal import escaped
from app.queueing import arguments, broker

TITLES = ("ACTOR", "QUEUE", "ARGUMENTS", "RETRIES", "WHAT IT DOES")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def actors(as_json: bool) -> None:
    """List the actors that this image knows, with their queues and arguments."""
    installed = broker.installed()
    known = [_described(installed, name) for name in sorted(installed.get_declared_actors())]
    if as_json:
        click.echo(json.dumps(known, indent=2, ensure_ascii=False))
        return
    rows = [tuple(escaped(str(value)) for value in actor.values()) for actor in known]
    click.echo("\n".join(table(TITLES, "<<<><", rows)))
    click.echo("next: queue send ACTOR '[ARGUMENT, …]'")


def _described(installed: broker.Broker, name: str) -> dict[str, Any]:
    actor = installed.get_actor(name)
    return {
        "name": name,
        "queue": actor.queue_name,
        "arguments": arguments.declared(actor.fn),
        "max_retries": actor.options.get("max_retries", installed.retries.max_retries),
        "description": (inspect.getdoc(actor.fn) or "").partition("\n")[0],
    }
