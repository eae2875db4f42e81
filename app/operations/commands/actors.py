"""The command `queue actors`."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from app.operations.commands.display import table, visible
from app.queueing import broker

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
    rows = [tuple(visible(str(value)) for value in actor.values()) for actor in known]
    click.echo("\n".join(table(TITLES, "<<<><", rows)))
    click.echo("next: queue send ACTOR '[ARGUMENT, …]'")


def _described(installed: broker.Broker, name: str) -> dict[str, Any]:
    actor = installed.get_actor(name)
    return {
        "name": name,
        "queue": actor.queue_name,
        "arguments": _arguments(actor.fn),
        "max_retries": actor.options.get("max_retries", installed.retries.max_retries),
        "description": (inspect.getdoc(actor.fn) or "").partition("\n")[0],
    }


def _arguments(function: Any) -> str:
    """`text: str, target: str = 'es'`, with the annotations as they are written."""
    # Annotations are texts here, and their quotes are not of interest.
    signature = inspect.signature(function)
    parts = [
        str(parameter.replace(annotation=parameter.empty)).replace(
            parameter.name, f"{parameter.name}: {_named(parameter.annotation)}", 1
        )
        if parameter.annotation is not parameter.empty
        else str(parameter)
        for parameter in signature.parameters.values()
    ]
    return ", ".join(parts) or "-"


def _named(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
