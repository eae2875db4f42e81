"""The command `queue adopt`."""

from __future__ import annotations

from collections import Counter

import click

from tandem import runtime
from tandem.broker import keys
from tandem.cli.prompts import confirm, force_option
from tandem.config import settings
from tandem.operate.adopt import Adoption
from tandem.support.escapes import escaped
from tandem.support.formatting import counted, duration, table

#: A worker of dramatiq sends a heartbeat with each command; after this time without one it is gone (seconds).
GONE_SECONDS = 60


@click.command()
@click.option("--namespace", default=keys.NAMESPACE, show_default=True, help="The namespace of dramatiq's RedisBroker.")
@force_option
def adopt(namespace: str, force: bool) -> None:
    """Take over the messages that dramatiq's own RedisBroker has left in this Redis.

    Those that wait, are delayed or failed, and those that a worker held. Stop dramatiq's workers first: what they run
    would run twice.
    """
    broker = runtime.configure(settings.current())
    found = Adoption(broker.client, namespace)
    if not found.places:
        click.echo(f"nothing is left in the namespace {escaped(namespace)}")
        return
    _show(found)
    seen = found.seconds_since_heartbeat()
    if seen is not None and seen < GONE_SECONDS and not force:
        raise click.ClickException(
            f"a worker of dramatiq was seen {duration(seen)} ago: stop it, wait for a minute, or use --force"
        )
    total = sum(found.places.values())
    confirm(f"Take over {counted(total, 'message')}?", force=force)
    done = list(found.run())
    click.echo(f"took over {counted(done[-1], 'message')}")
    unknown = sorted({place.queue for place in found.places} - broker.get_declared_queues())
    if unknown:
        click.echo(f"no actor here has the queue {', '.join(map(escaped, unknown))}, so its messages wait")
    click.echo("next: queue stats, queue failed show")


def _show(found: Adoption) -> None:
    counts: dict[str, Counter[str]] = {}
    for place, count in found.places.items():
        kind = "held" if place.type == "set" else place.belongs
        counts.setdefault(place.queue, Counter())[kind] += count
    rows = [
        (escaped(queue), *(f"{count[kind]:,}" for kind in ("ready", "held", "delayed", "dead")))
        for queue, count in sorted(counts.items())
    ]
    click.echo("\n".join(table(("QUEUE", "READY", "HELD BY WORKERS", "DELAYED", "FAILED"), "<>>>>", rows)))
