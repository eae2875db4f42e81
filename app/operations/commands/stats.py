"""The command `queue stats`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

import click
import dramatiq
import redis

from app.operations.commands.advice import advice
from app.operations.commands.stats_tables import tables
from app.queueing import overview
from app.queueing.broker import Broker
from app.queueing.connection import clock
from app.queueing.overview import ActorState, QueueState, WorkerState

WATCH_SECONDS = 2.0


@dataclass(frozen=True)
class Figures:
    """Everything that is shown; these names are those of the JSON. time: of Redis, as in the logs."""

    time: str
    queues: list[QueueState]
    workers: list[WorkerState]
    actors: list[ActorState]


class Seconds(click.FloatRange):
    """A number within bounds; nan is within none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        return self.fail(f"{value} is no number", param, ctx) if math.isnan(seconds) else seconds


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--watch",
    type=Seconds(min=0.1, max=86_400),
    is_flag=False,
    flag_value=WATCH_SECONDS,
    metavar="[SECONDS]",
    help=f"Show it again every {WATCH_SECONDS:g} seconds, or every SECONDS, until Ctrl+C.",
)
def stats(as_json: bool, watch: float | None) -> None:
    """Show what waits in each queue, what each worker does, and how messages ended and how quickly."""
    if as_json and watch:
        raise click.UsageError("--json prints once: leave out --watch")
    broker = cast(Broker, dramatiq.get_broker())
    if as_json:
        click.echo(json.dumps(asdict(figures(broker.client, broker.get_declared_queues())), indent=2))
    elif watch:
        _repeat(broker, watch)
    else:
        click.echo(_page(broker))


def figures(client: redis.Redis, declared: Collection[str]) -> Figures:
    """What Redis knows of all queues, those in `declared` among them. Raises redis.RedisError."""
    now = datetime.fromtimestamp(clock(client), UTC)
    return Figures(
        time=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        queues=overview.queues(client, declared),
        workers=overview.workers(client),
        actors=overview.actors(client),
    )


def _page(broker: Broker, *, with_time: bool = False) -> str:
    declared = broker.get_declared_queues()
    seen = figures(broker.client, declared)
    parts = [
        *([[seen.time]] if with_time else []),
        *tables(seen.queues, seen.workers, seen.actors),
        advice(seen.queues, seen.workers, seen.actors, declared, broker.get_declared_actors()),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _repeat(broker: Broker, seconds: float) -> None:
    try:
        while True:
            page = _page(broker, with_time=True)
            click.clear()  # does nothing where there is no terminal
            click.echo(page)
            time.sleep(seconds)
    except KeyboardInterrupt:
        click.echo()
