"""The command `queue send`."""

from __future__ import annotations

import sys
from datetime import timedelta

import click
from dramatiq.errors import ActorNotFound

from app import settings
from app.operations import spans
from app.operations.commands.terminal import escaped
from app.queueing import arguments, broker, control, delivery

LONGEST_DELAY = timedelta(milliseconds=delivery.MAX_DELAY_MS)


@click.command()
@click.argument("actor_name", metavar="ACTOR")
@click.argument("json_text", metavar="[JSON]", default="[]")
@click.option("--delay", "delay_text", metavar="SPAN", help=f"Not before this has passed: {spans.ALLOWED}; 7d at most.")
def send(actor_name: str, json_text: str, delay_text: str | None) -> None:
    """Send a message to ACTOR.

    JSON is a list of its arguments, or an object with their names; - reads it from the standard input.
    """
    installed = broker.install(settings.current())
    try:
        actor = installed.get_actor(actor_name)
    except ActorNotFound:
        known = ", ".join(sorted(installed.get_declared_actors()))
        raise click.ClickException(f"no actor is called {escaped(actor_name)}: known are {known}") from None
    delay = None if delay_text is None else _delay(delay_text)
    try:
        args, kwargs = arguments.parse(_text(json_text))
        arguments.check(actor.fn, args, kwargs)
    except arguments.NotAllowed as error:
        raise click.ClickException(f"{actor_name}: {error}") from error
    message = actor.send_with_options(args=tuple(args), kwargs=kwargs, delay=delay)
    due = f", due in {delay_text}" if delay_text else ""
    click.echo(f"sent {message.message_id} to {actor.queue_name}{due}")
    if actor.queue_name in control.paused(installed.client):
        click.echo(f"{actor.queue_name} is paused: queue resume {actor.queue_name}")
    click.echo(f"next: queue stats, and if it fails: queue failed show {message.message_id}")


def _text(given: str) -> str:
    """The argument, or what comes from standard input; a little more than is allowed is enough to refuse it."""
    if given != "-":
        return given
    if sys.stdin is None:
        raise click.ClickException("nothing comes from standard input")
    return sys.stdin.buffer.read(arguments.MAX_BYTES + 1).decode(errors="surrogateescape")


def _delay(text: str) -> timedelta:
    delay = spans.parse(text)
    if delay is None or delay > LONGEST_DELAY:
        raise click.ClickException(f"--delay {escaped(text)} is not allowed: {spans.ALLOWED} are, and at most 7d")
    return delay
