"""The commands `queue schedules`: when each schedule is due, how its last message ended; run, pause and resume one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tandem import registry, runtime
from tandem.config import settings
from tandem.operate import action_log
from tandem.schedules.listing import described
from tandem.schedules.schedule import Definition
from tandem.schedules.store import ScheduleStore
from tandem.support.escapes import escaped
from tandem.support.formatting import NOTHING, duration, table

if TYPE_CHECKING:
    from tandem.broker.broker import Broker

TITLES = ("NAME", "WHEN", "NEXT", "LAST SUCCEEDED", "TOOK", "STATE")


@click.group("schedules", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def schedules(context: click.Context, as_json: bool) -> None:
    """Show the schedules, or run, pause or resume one."""
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


@schedules.command()
@click.argument("name")
def run(name: str) -> None:
    """Send the message of NAME now, as well as at its ticks."""
    broker, _, found = _found(name)
    message = found.message
    sent = broker.get_actor(found.actor).send_with_options(args=tuple(message["args"]), kwargs=message["kwargs"])
    action_log.note(broker.client, "run a schedule", found.name)
    click.echo(f"sent {sent.message_id} to {found.queue}")
    click.echo(f"next: queue stats; if it fails: queue failed show {sent.message_id}")


@schedules.command()
@click.argument("name")
def pause(name: str) -> None:
    """Skip the ticks of NAME until it is resumed."""
    broker, store, found = _found(name)
    was_running = store.pause(found.name)
    action_log.note(broker.client, "pause a schedule", found.name)
    click.echo(f"{escaped(name)} is paused" if was_running else f"{escaped(name)} was already paused")
    click.echo(f"ticks are skipped and not made up for; next: queue schedules resume {escaped(name)}")


@schedules.command()
@click.argument("name")
def resume(name: str) -> None:
    """Send the messages of NAME again, from its next tick on."""
    broker, store, found = _found(name)
    was_paused = store.resume(found.name)
    action_log.note(broker.client, "resume a schedule", found.name)
    click.echo(f"{escaped(name)} is resumed" if was_paused else f"{escaped(name)} was not paused")
    click.echo("next: queue schedules")


def _known(broker: Broker, store: ScheduleStore) -> dict[str, Definition]:
    """Return all schedules by name; those of the workloads go first."""
    own = registry.schedule_definitions(registry.load(settings.current()))
    return {definition.name: definition for definition in (*store.added(), *own)}


def _found(name: str) -> tuple[Broker, ScheduleStore, Definition]:
    broker = runtime.configure(settings.current())
    store = ScheduleStore(broker.client)
    known = _known(broker, store)
    if name not in known:
        expected = f"one of {', '.join(sorted(known))}" if known else "none, because there are no schedules"
        raise click.ClickException(f"unknown schedule {escaped(name)}: expected {escaped(expected)}")
    return broker, store, known[name]


def _show(*, as_json: bool) -> None:
    broker = runtime.configure(settings.current())
    store = ScheduleStore(broker.client)
    known = _known(broker, store)
    rows = list(described(store, known.values(), broker.actors))
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo("there are no schedules; next: docs/how-to/run-on-a-schedule.md")
        return
    now = store.now()
    cells = [
        (
            row["name"],
            row["when"],
            f"in {duration(row['next'] - now)}" if row["next"] else "never",
            f"{duration(now - row['succeeded_at'])} ago" if row["succeeded_at"] else NOTHING,
            duration(row["took"]) if row["took"] is not None else NOTHING,
            row["state"],
        )
        for row in rows
    ]
    click.echo("\n".join(table(TITLES, "<<<<<<", [tuple(map(escaped, row)) for row in cells])))
    click.echo("next: queue schedules run NAME, queue schedules pause NAME")
