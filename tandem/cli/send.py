"""The command `queue send`."""

from __future__ import annotations

import sys
from datetime import timedelta

import click
from dramatiq.errors import ActorNotFound

from tandem import runtime
from tandem.broker import store
from tandem.broker.unique import DuplicateMessage
from tandem.config import settings
from tandem.operate import action_log, arguments, control
from tandem.support import durations
from tandem.support.escapes import escaped

MAX_DELAY = timedelta(milliseconds=store.MAX_DELAY_MS)


@click.command()
@click.argument("actor_name", metavar="ACTOR")
@click.argument("json_text", metavar="[JSON]", default="[]")
@click.option("--delay", "delay_text", metavar="DURATION", help=f"Delay, such as {durations.EXPECTED}; at most 7d.")
def send(actor_name: str, json_text: str, delay_text: str | None) -> None:
    """Send a message to ACTOR.

    JSON is a list of its arguments, or an object with their names; - reads it from stdin.
    """
    broker = runtime.configure(settings.current())
    try:
        actor = broker.get_actor(actor_name)
    except ActorNotFound:
        known = ", ".join(sorted(broker.get_declared_actors()))
        raise click.ClickException(f"unknown actor {escaped(actor_name)}: expected one of {known}") from None
    delay = None if delay_text is None else _delay(delay_text)
    try:
        args, kwargs = arguments.parse(_text(json_text))
        arguments.check(actor.fn, args, kwargs)
    except arguments.InvalidArguments as error:
        raise click.ClickException(f"{actor_name}: {error}") from error
    try:
        message = actor.send_with_options(args=tuple(args), kwargs=kwargs, delay=delay)
    except (DuplicateMessage, ValueError) as error:
        raise click.ClickException(f"nothing was sent: {error}") from error
    action_log.note(broker.client, "send", f"{actor_name} {message.message_id}")
    due = f", due in {delay_text}" if delay_text else ""
    click.echo(f"sent {message.message_id} to {actor.queue_name}{due}")
    if actor.queue_name in control.paused(broker.client):
        click.echo(f"{actor.queue_name} is paused; to resume it: queue resume {actor.queue_name}")
    click.echo(f"next: queue stats; if it fails: queue failed show {message.message_id}")


def _text(given: str) -> str:
    """Return the argument, or the text from stdin; one byte over the limit is enough to refuse it."""
    if given != "-":
        return given
    if sys.stdin is None:
        raise click.ClickException("stdin is closed: expected the arguments as JSON")
    return sys.stdin.buffer.read(arguments.MAX_BYTES + 1).decode(errors="surrogateescape")


def _delay(text: str) -> timedelta:
    delay = durations.parse(text)
    if delay is None or delay > MAX_DELAY:
        raise click.ClickException(f"--delay {escaped(text)} is invalid: expected {durations.EXPECTED}, at most 7d")
    return delay
