"""The commands `queue pause`, `resume`, `purge` and `stop-workers`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from tandem import runtime
from tandem.cli.prompts import confirm, force_option
from tandem.config import settings
from tandem.operate import action_log, control
from tandem.support.escapes import escaped
from tandem.support.formatting import counted

if TYPE_CHECKING:
    from tandem.broker.broker import Broker

POLL_INTERVAL = 0.5
PROGRESS_SECONDS = 2.0
# Beyond the longest drain: a worker notices the request within a heartbeat, its successor starts within a second.
BEYOND_DRAIN_SECONDS = 15

queues_argument = click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")


@click.command()
@queues_argument
def pause(queues: tuple[str, ...]) -> None:
    """Stop consuming from QUEUEs until they are resumed."""
    client = _require_known(*queues).client
    for queue in queues:
        was_running = control.pause(client, queue)
        action_log.note(client, "pause", queue)
        click.echo(f"{queue} is paused" if was_running else f"{queue} was already paused")
    click.echo("running messages finish; new messages are accepted and wait")
    click.echo(f"next: queue resume {' '.join(queues)}")


@click.command()
@queues_argument
def resume(queues: tuple[str, ...]) -> None:
    """Consume from QUEUEs again."""
    client = _require_known(*queues).client
    for queue in queues:
        was_paused = control.resume(client, queue)
        action_log.note(client, "resume", queue)
        click.echo(f"{queue} is resumed" if was_paused else f"{queue} was not paused")


@click.command()
@click.argument("queue")
@force_option
def purge(queue: str, force: bool) -> None:
    """Remove the messages that are waiting in QUEUE now.

    Running messages and dead letters stay. For each removed message its actor's on_failed is called.
    """
    broker = _require_known(queue)
    waiting = control.Purge(broker.client, broker, queue)
    total = waiting.ready + waiting.delayed
    if not total:
        click.echo(f"no messages are waiting in {queue}")
        return
    parts = f"{waiting.ready:,} ready, {waiting.delayed:,} delayed"
    confirm(f"Remove {counted(total, 'message')} of {queue} permanently ({parts})?", force=force)
    removed = _run(waiting, total)
    action_log.note(broker.client, "purge", queue, removed)
    click.echo(f"removed {counted(removed, 'message')} of {queue}; running messages and dead letters stay")
    if removed < total:
        click.echo(f"workers claimed the other {total - removed:,} meanwhile")


@click.command("stop-workers")
@click.option("--wait", is_flag=True, help="Wait until all of them have stopped.")
@click.option("--timeout", type=click.IntRange(1), help="Maximum wait, in seconds. [MESSAGE_TIME_LIMIT + 20]")
def stop_workers(wait: bool, timeout: int | None) -> None:
    """Ask every worker of every container on this Redis to finish its messages and stop.

    Workers that start later keep running. supervisor replaces each stopped worker by a fresh one.
    """
    config = settings.current()
    client = runtime.configure(config).client
    asked = _processes(control.workers(client))
    if not asked:
        click.echo("no worker is running on this Redis")
        return
    control.ask_to_stop(client)
    action_log.note(client, "stop-workers", "all workers", len(asked))
    hosts = {name.rpartition(":")[0] for name, *_ in asked}
    click.echo(f"asked {counted(len(asked), 'worker')} on {counted(len(hosts), 'host')} to stop")
    click.echo("they finish their running messages and requeue the others; supervisor starts fresh workers")
    if wait:
        _await_stopped(client, asked, timeout or config.drain_timeout + BEYOND_DRAIN_SECONDS)
    else:
        click.echo("next: queue stats")


def _require_known(*queues: str) -> Broker:
    """Return the broker. Raises ClickException if a queue is neither an actor's nor was ever used."""
    broker = runtime.configure(settings.current())
    known = control.known_queues(broker.client, broker.get_declared_queues())
    if unknown := sorted(set(queues) - known):
        raise click.ClickException(
            f"unknown queue {', '.join(map(escaped, unknown))}: expected one of {', '.join(sorted(known))}"
        )
    return broker


def _run(purge: control.Purge, total: int) -> int:
    removed, reported_at = 0, time.monotonic()
    for removed in purge.run():
        if time.monotonic() - reported_at > PROGRESS_SECONDS:
            reported_at = time.monotonic()
            click.echo(f"{removed:,} of {total:,} removed", err=True)
    return removed


#: Name, process id and start of a worker: another process under the same name is its successor.
Process = tuple[str, Any, Any]


def _processes(workers: dict[str, dict[str, Any]]) -> set[Process]:
    return {(name, state.get("pid"), state.get("started")) for name, state in workers.items()}


def _await_stopped(client: Any, asked: set[Process], timeout: int) -> None:
    deadline = time.monotonic() + timeout
    running = asked
    while True:
        still_running = asked & _processes(control.workers(client))
        if still_running != running:
            click.echo(f"{len(asked) - len(still_running)} of {len(asked)} have stopped")
            running = still_running
        if not running:
            return
        if time.monotonic() > deadline:
            names = ", ".join(sorted(name for name, *_ in running))
            raise click.ClickException(f"these workers are still running after {timeout} s: {names}")
        time.sleep(POLL_INTERVAL)
