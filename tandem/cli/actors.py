"""The command `queue actors`."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from tandem.broker.broker import Broker
from tandem.operate import arguments
from tandem.runtime import get_broker
from tandem.support.escapes import escaped
from tandem.support.formatting import table
from tandem.worker.retries import Retries

TITLES = ("ACTOR", "QUEUE", "ARGUMENTS", "RETRIES", "DESCRIPTION")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def actors(as_json: bool) -> None:
    """List the actors of this image with their queues and arguments."""
    broker = get_broker()
    known = [_described(broker, name) for name in sorted(broker.get_declared_actors())]
    if as_json:
        click.echo(json.dumps(known, indent=2, ensure_ascii=False))
        return
    rows = [tuple(escaped(str(value)) for value in actor.values()) for actor in known]
    click.echo("\n".join(table(TITLES, "<<<><", rows)))
    click.echo("next: queue send ACTOR '[ARGUMENT, …]'")


def _described(broker: Broker, name: str) -> dict[str, Any]:
    actor = broker.get_actor(name)
    return {
        "name": name,
        "queue": actor.queue_name,
        "arguments": arguments.declared(actor.fn),
        "max_retries": actor.options.get("max_retries", broker.middleware_of(Retries).max_retries),
        "description": (inspect.getdoc(actor.fn) or "").partition("\n")[0],
    }
