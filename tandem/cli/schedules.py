"""The commands `queue schedules`: when each schedule is due, how its last message ended; run, pause and resume one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from tandem import registry, runtime
from tandem.config import settings
from tandem.schedules.schedule import Definition
from tandem.schedules.store import ScheduleStore, overdue
from tandem.support.escapes import escaped
from tandem.support.formatting import NOTHING, duration, table
from tandem.support.times import iso

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
    click.echo(f"sent {sent.message_id} to {found.queue}")
    click.echo(f"next: queue stats; if it fails: queue failed show {sent.message_id}")


@schedules.command()
@click.argument("name")
def pause(name: str) -> None:
    """Skip the ticks of NAME until it is resumed."""
    _, store, found = _found(name)
    was_running = store.pause(found.name)
    click.echo(f"{escaped(name)} is paused" if was_running else f"{escaped(name)} was already paused")
    click.echo(f"ticks are skipped and not made up for; next: queue schedules resume {escaped(name)}")


@schedules.command()
@click.argument("name")
def resume(name: str) -> None:
    """Send the messages of NAME again, from its next tick on."""
    _, store, found = _found(name)
    was_paused = store.resume(found.name)
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
    rows = list(_described(broker, store, known.values()))
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


def _described(broker: Broker, store: ScheduleStore, definitions: Iterable[Definition]) -> Iterable[dict[str, Any]]:
    """Yield what is shown of each schedule; times in seconds since 1970."""
    from tandem.schedules import ticks

    definitions = sorted(definitions, key=lambda definition: definition.name)
    states, now = store.states(definition.name for definition in definitions), store.now()
    late = overdue(definitions, states, now)
    for definition in definitions:
        state = states[definition.name]
        upcoming = next(ticks.after(definition, now), None)
        yield {
            "name": definition.name,
            "when": ticks.explained(definition),
            "actor": definition.actor,
            "queue": definition.queue,
            "next": upcoming,
            "succeeded_at": float(state["succeeded_at"]) if "succeeded_at" in state else None,
            "took": float(state["took"]) if "took" in state else None,
            "overlaps": int(state.get("overlaps", 0)),
            "state": _state(broker, definition, state, late),
        }


def _state(broker: Broker, definition: Definition, state: dict[str, str], late: dict[str, str]) -> str:
    if definition.actor not in broker.actors:
        return f"waits: there is no actor {definition.actor}"
    if "paused" in state:
        return "paused"
    if definition.name in late:
        return late[definition.name]
    if float(state.get("failed_at", 0)) > float(state.get("succeeded_at", 0)):
        return f"failed {iso(float(state['failed_at']))}: {state.get('error', '')}"
    return "ok" if "tick" in state else f"new since {iso(time.time())}"
