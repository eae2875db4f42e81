"""Declares one short actor and a command that sends it; recycling.py mounts this, and TANDEM_APP=counting names it."""

from __future__ import annotations

import click
import dramatiq

from tandem import Settings, Workload, connect

client = connect(Settings.current())


@dramatiq.actor(queue_name="counting")
def note(number: int) -> None:
    """Notes its number."""
    client.rpush("counted", str(number))


@click.command()
@click.argument("messages", type=int)
def count(messages: int) -> None:
    """Send so many short messages."""
    for number in range(messages):
        note.send(number)


workloads = (Workload(name="counting", commands=lambda: (count,)),)
