"""The commands `queue pause`, `resume`, `purge` and `stop-workers`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from app import settings
from app.operations.commands.asking import confirm, force_option
from app.operations.commands.display import counted
from app.operations.commands.terminal import escaped
from app.queueing import broker, control

if TYPE_CHECKING:
    from app.queueing.broker import Broker

LOOK_SECONDS = 0.5
PROGRESS_SECONDS = 2.0
# Beyond the longest drain: a worker notices the request within a beat, its successor starts within a second.
BEYOND_DRAIN_SECONDS = 15

queues_argument = click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")


@click.command()
@queues_argument
def pause(queues: tuple[str, ...]) -> None:
    """Let nobody take messages from QUEUEs until they are resumed."""
    client = _broker_that_knows(*queues).client
    for queue in queues:
        was_running = control.pause(client, queue)
        click.echo(f"{queue} is paused" if was_running else f"{queue} was already paused")
    click.echo("running messages finish, new ones are accepted and wait")
    click.echo(f"next: queue resume {' '.join(queues)}")


@click.command()
@queues_argument
def resume(queues: tuple[str, ...]) -> None:
    """Let workers take messages from QUEUEs again."""
    client = _broker_that_knows(*queues).client
    for queue in queues:
        was_paused = control.resume(client, queue)
        click.echo(f"{queue} goes on" if was_paused else f"{queue} was not paused")


@click.command()
@click.argument("queue")
@force_option
def purge(queue: str, force: bool) -> None:
    """Remove the messages that wait in QUEUE now.

    Running messages and dead letters stay. Whoever waits for a removed message is told so by its actor.
    """
    installed = _broker_that_knows(queue)
    waiting = control.Purge(installed.client, installed, queue)
    total = waiting.ready + waiting.delayed
    if not total:
        click.echo(f"nothing waits in {queue}")
        return
    parts = f"{waiting.ready:,} ready, {waiting.delayed:,} delayed"
    confirm(f"Remove {counted(total, 'message')} of {queue} for ever ({parts})?", force=force)
    removed = _run(waiting, total)
    click.echo(f"removed {counted(removed, 'message')} of {queue}; running messages and dead letters stay")
    if removed < total:
        click.echo(f"workers took the other {total - removed:,} meanwhile")


@click.command("stop-workers")
@click.option("--wait", is_flag=True, help="Wait until each of them has left.")
@click.option("--timeout", type=click.IntRange(1), help="Longest wait, in seconds. [MESSAGE_TIME_LIMIT + 20]")
def stop_workers(wait: bool, timeout: int | None) -> None:
    """Ask every worker of every container on this Redis to finish and leave.

    Workers that start later stay. supervisor starts a fresh one in the place of each that leaves.
    """
    config = settings.current()
    client = broker.install(config).client
    told = _processes(control.workers(client))
    if not told:
        click.echo("no worker runs on this Redis, so none was told")
        return
    control.ask_to_stop(client)
    hosts = {name.rpartition(":")[0] for name, *_ in told}
    click.echo(f"told {counted(len(told), 'worker')} on {counted(len(hosts), 'host')} to leave")
    click.echo("they finish their running messages and give the others back; supervisor starts fresh ones")
    if wait:
        _await_leaving(client, told, timeout or config.drain_timeout + BEYOND_DRAIN_SECONDS)
    else:
        click.echo("next: queue stats")


def _broker_that_knows(*queues: str) -> Broker:
    """The broker. Raises ClickException when one of the queues is neither an actor's nor was ever used."""
    installed = broker.install(settings.current())
    known = control.known_queues(installed.client, installed.get_declared_queues())
    if unknown := sorted(set(queues) - known):
        raise click.ClickException(
            f"no queue is called {', '.join(map(escaped, unknown))}: known are {', '.join(sorted(known))}"
        )
    return installed


def _run(purge: control.Purge, total: int) -> int:
    removed, told_at = 0, time.monotonic()
    for removed in purge.run():
        if time.monotonic() - told_at > PROGRESS_SECONDS:
            told_at = time.monotonic()
            click.echo(f"{removed:,} of {total:,} are removed", err=True)
    return removed


#: Name, process id and start of a worker: another process under the same name is its successor.
Process = tuple[str, Any, Any]


def _processes(workers: dict[str, dict[str, Any]]) -> set[Process]:
    return {(name, said.get("pid"), said.get("started")) for name, said in workers.items()}


def _await_leaving(client: Any, told: set[Process], timeout: int) -> None:
    deadline = time.monotonic() + timeout
    here = told
    while True:
        still_here = told & _processes(control.workers(client))
        if still_here != here:
            click.echo(f"{len(told) - len(still_here)} of {len(told)} have left")
            here = still_here
        if not here:
            return
        if time.monotonic() > deadline:
            names = ", ".join(sorted(name for name, *_ in here))
            raise click.ClickException(f"after {timeout} s of waiting these are still there: {names}")
        time.sleep(LOOK_SECONDS)
