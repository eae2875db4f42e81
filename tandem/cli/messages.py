"""The commands `queue messages`, `queue cancel` and `queue run`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from tandem import runtime
from tandem.broker.broker import Broker
from tandem.broker.dead_letter import attempts_of
from tandem.cli.failed_output import moment
from tandem.cli.prompts import confirm, force_option
from tandem.config import settings
from tandem.operate import action_log, message_control
from tandem.operate.messages import MOST_SEARCHED, STATES, Filter, Found, InvalidFilter, Messages, State
from tandem.support.escapes import escaped
from tandem.support.formatting import NOTHING, counted, duration, table

TITLES = ("STATE", "QUEUE", "ACTOR", "SINCE", "MESSAGE", "ID")
_SAID = {
    "failed": "it is a failed message already; next: queue failed show {0}",
    "handled": "it has ended",
    "running": "it is running already",
    "limited": "it waits for a limit of its actor, which counts for everybody; next: queue stats",
    "unknown": "no message has this id; next: queue messages",
}


@click.command()
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--state", type=click.Choice(STATES), help="Only messages in this state. [ready, delayed and running]")
@click.option("--queue", default="", help="Only messages of this queue.")
@click.option("--actor", default="", help="Only messages of this actor.")
@click.option("--error", default="", help="Only messages that ended with this error class.")
@click.option("--search", "text", default="", help="Only messages with this text in their id or arguments.")
@click.option("--max", "limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Maximum number.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the arguments.")
def messages(id_: str | None, state: Any, limit: int, as_json: bool, **choice: str) -> None:
    """List messages; with an ID, show one, its arguments included."""
    broker = _broker()
    found = Messages(broker.client, broker.get_declared_queues())
    if id_ is not None:
        _show_one(found, id_, as_json=as_json)
        return
    states: list[State] = (
        [state] if state else ["failed", "handled"] if choice["error"] else ["ready", "delayed", "running"]
    )
    rows: list[Found] = []
    searched = 0
    try:
        for one in states:
            wanted = Filter(one, choice["queue"], choice["actor"], choice["error"], choice["text"])
            page = found.page(wanted, limit=limit)
            rows += page.messages
            searched = max(searched, page.searched)
    except InvalidFilter as error:
        raise click.ClickException(escaped(str(error))) from error
    rows = rows[:limit]
    if as_json:
        click.echo(json.dumps([_as_json(row) for row in rows], indent=2, default=repr))
        return
    _show_rows(rows, found.now())
    if searched >= MOST_SEARCHED:
        click.echo(f"the first {MOST_SEARCHED:,} messages were looked at, and no more")


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@force_option
def cancel(ids: tuple[str, ...], force: bool) -> None:
    """Cancel messages: remove those that wait, and interrupt those that run.

    The on_failed of their actors is called. An interrupted message becomes a failed one, which can be retried.
    """
    broker = _broker()
    confirm(f"Cancel {counted(len(ids), 'message')}? Those that wait are gone then.", force=force)
    done = 0
    for id_ in dict.fromkeys(ids):
        answer = message_control.cancel(broker.client, broker, broker.get_declared_queues(), id_)
        if answer in ("removed", "interrupted"):
            action_log.note(broker.client, "cancel", id_)
            done += 1
        click.echo(f"{escaped(id_)}: {_canceled(answer, id_)}")
    if not done:
        raise click.ClickException("nothing was changed")


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def run(ids: tuple[str, ...]) -> None:
    """Make waiting messages the next of their queues, delayed ones included."""
    broker = _broker()
    done = 0
    # From the last one on, so that the first becomes the next.
    for id_ in reversed(dict.fromkeys(ids)):
        answer = message_control.run_now(broker.client, broker.get_declared_queues(), id_)
        if answer == "next":
            action_log.note(broker.client, "run", id_)
            done += 1
        said = "is the next of its queue" if answer == "next" else _SAID[answer].format(escaped(id_))
        click.echo(f"{escaped(id_)}: {said}")
    if not done:
        raise click.ClickException("nothing was changed")
    click.echo("next: queue messages, queue stats")


def _canceled(answer: str, id_: str) -> str:
    if answer == "removed":
        return "removed"
    if answer == "interrupted":
        when = "within 2 seconds, or when a system call that it waits in returns"
        return f"its worker interrupts it {when}; next: queue failed show {escaped(id_)}"
    return _SAID[answer].format(escaped(id_))


def _broker() -> Broker:
    return runtime.configure(settings.current())


def _show_rows(rows: list[Found], now: float) -> None:
    if not rows:
        click.echo("No messages.")
        return
    cells = [(_state(row), row.queue, row.actor, _since(row, now), _detail(row), row.id) for row in rows]
    click.echo("\n".join(table(TITLES, "<<<<<<", [tuple(map(escaped, row)) for row in cells])))
    waits = any(row.state not in ("failed", "handled") for row in rows)
    click.echo("next: queue messages ID" + (", queue cancel ID, queue run ID" if waits else ""))


def _state(row: Found) -> str:
    return row.outcome or row.state


def _since(row: Found, now: float) -> str:
    if row.state == "delayed":
        return f"in {duration(max(0.0, row.at - now))}"
    if row.state == "running":
        return f"for {duration(row.seconds)}"
    return f"{duration(max(0.0, now - row.at))} ago" if row.at else NOTHING


def _detail(row: Found) -> str:
    detail = row.detail or (row.worker if row.state == "running" else NOTHING)
    return " ".join(detail.split())[:60]


def _show_one(found: Messages, id_: str, *, as_json: bool) -> None:
    rows = found.find(id_)
    if not rows:
        raise click.ClickException(f"{escaped(id_)}: {_SAID['unknown']}")
    if as_json:
        click.echo(json.dumps([_as_json(row) for row in rows], indent=2, default=repr))
        return
    for row in rows:
        click.echo("\n".join(_facts(found, row)))


def _facts(found: Messages, row: Found) -> Iterator[str]:
    content = row.content
    yield f"Message {escaped(row.id)}"
    yield f"  state     {_state(row)}, {_since(row, found.now())}"
    yield f"  queue     {escaped(row.queue)}"
    yield f"  actor     {escaped(row.actor)}"
    if row.worker:
        yield f"  worker    {escaped(row.worker)}"
    if content:
        named = [f"{escaped(name)}={value!r}" for name, value in content.kwargs.items()]
        yield f"  call      {escaped(row.actor)}({', '.join([*map(repr, content.args), *named])})"
        yield f"  sent      {moment(content.message_timestamp, precise=True)}"
        for attempt in attempts_of(content):
            yield f"  attempt   {escaped('  '.join(attempt))}"
    yield f"Next\n  queue logs --message {escaped(row.id)}"
    if row.state == "failed":
        yield f"  queue failed show {escaped(row.id)}"
    elif row.state != "handled":
        yield f"  queue cancel {escaped(row.id)}"
    if row.state == "delayed":
        yield f"  queue run {escaped(row.id)}"


def _as_json(row: Found) -> dict[str, Any]:
    content = row.content
    return {
        "id": row.id,
        "state": row.state,
        "outcome": row.outcome or None,
        "queue": row.queue,
        "actor": row.actor,
        "error": row.error or None,
        "at": moment(row.at * 1000, precise=True),
        "worker": row.worker or None,
        "seconds": row.seconds or None,
        "args": list(content.args) if content else None,
        "kwargs": content.kwargs if content else None,
    }
