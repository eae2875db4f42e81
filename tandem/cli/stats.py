"""The command `queue stats`."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, cast

import click
import dramatiq
import redis

from tandem import registry
from tandem.broker import limits
from tandem.broker.broker import Broker
from tandem.broker.connection import clock
from tandem.cli.stats_tables import tables
from tandem.config import settings
from tandem.operate import queue_stats
from tandem.operate.hints import hints, limited
from tandem.operate.queue_stats import ActorState, QueueState, WorkerState
from tandem.support.times import iso

WATCH_SECONDS = 2.0


@dataclass(frozen=True)
class Stats:
    """All statistics; these names are those of the JSON. time: by the clock of Redis, in the format of the logs."""

    time: str
    queues: list[QueueState]
    workers: list[WorkerState]
    actors: list[ActorState]


class Seconds(click.FloatRange):
    """A number within bounds, and not nan."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        return self.fail(f"{value} is not a number", param, ctx) if math.isnan(seconds) else seconds


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
    """Show the messages in each queue, the state of each worker, and outcomes and times of messages."""
    if as_json and watch:
        raise click.UsageError("--json cannot be combined with --watch")
    broker = cast(Broker, dramatiq.get_broker())
    if as_json:
        click.echo(json.dumps(asdict(collect(broker.client, broker.get_declared_queues())), indent=2))
    elif watch:
        _repeat(broker, watch)
    else:
        click.echo(_page(broker))


def collect(client: redis.Redis, declared: Collection[str]) -> Stats:
    """Collect the statistics of all queues, those in `declared` included. Raises redis.RedisError."""
    now = clock(client)
    return Stats(
        time=iso(now, milliseconds=True),
        queues=queue_stats.queues(client, declared, decode=dramatiq.get_encoder().decode),
        workers=queue_stats.workers(client),
        actors=queue_stats.actors(client),
    )


def _page(broker: Broker, *, with_time: bool = False) -> str:
    declared = broker.get_declared_queues()
    found = collect(broker.client, declared)
    parts = [
        *([[found.time]] if with_time else []),
        *tables(found.queues, found.workers, found.actors),
        limited(found.queues, _limits(), _limits_of_actors(broker)),
        [*map(str, hints(found.queues, found.workers, found.actors, declared, broker.get_declared_actors()))],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _limits() -> dict[str, list[str]]:
    """Return the limits of each queue that has any, in words."""
    config, found = settings.current(), defaultdict[str, list[str]](list)
    for workload in registry.load(config):
        rates = workload.rates(config) if callable(workload.rates) else workload.rates
        for queue, rate in rates.items():
            found[queue].append(f"its rate {rate}")
        for queue, most in workload.max_concurrency(config).items():
            found[queue].append(f"one of its {most} places")
    return found


def _limits_of_actors(broker: Broker) -> dict[str, str]:
    """Return the limit of each actor that has one, in words."""
    return {limit.actor: str(limit) for found in limits.by_queue(broker.actors.values()).values() for limit in found}


def _repeat(broker: Broker, seconds: float) -> None:
    try:
        while True:
            page = _page(broker, with_time=True)
            click.clear()  # does nothing without a terminal
            click.echo(page)
            time.sleep(seconds)
    except KeyboardInterrupt:
        click.echo()
