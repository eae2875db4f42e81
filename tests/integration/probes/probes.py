"""Actors that do to a worker what real ones sometimes do, and a command that sends them."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import click
import dramatiq

from app import settings
from app.queueing.connection import connect
from app.queueing.workload import Workload
from app.translation.store import Store

logger = logging.getLogger("app.probes")
leaked: list[bytearray] = []


def note(key: str, value: str) -> None:
    """Appends to a list in Redis that the test reads."""
    connect(settings.current()).rpush(key, value)


@dramatiq.actor(queue_name="probes")
def count(key: str, number: int) -> None:
    """The shortest message: notes its number."""
    client.rpush(key, str(number))


@dramatiq.actor(queue_name="urgent")
def overtake(key: str, sent_at: float) -> None:
    """Notes how long it waited."""
    client.rpush(key, str(time.time() - sent_at))


@dramatiq.actor(queue_name="probes", max_retries=1, retry_delay=200)
def fail(key: str, number: int) -> None:
    """Notes its number at each attempt and never succeeds."""
    client.rpush(key, str(number))
    raise RuntimeError("a probe that always fails")


@dramatiq.actor(queue_name="probes")
def nap(key: str, seconds: float) -> None:
    """Takes its time, then notes that it was done."""
    note(f"{key}:began", str(os.getpid()))
    time.sleep(seconds)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="probes")
def leak(key: str, mebibytes: int) -> None:
    """Keeps memory."""
    leaked.append(bytearray(os.urandom(1024)) * 1024 * mebibytes)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="probes")
def chatter(tag: str, lines: int, size: int) -> None:
    """Logs numbered lines, filled up to a size."""
    for number in range(lines):
        logger.info("%s-%06d %s", tag, number, "x" * size)


@dramatiq.actor(queue_name="probes", time_limit=500)
def block(key: str, seconds: float) -> None:
    """Blocks in the system, where no exception reaches it; well from the second delivery on."""
    note(f"{key}:began", str(os.getpid()))
    if client.llen(f"{key}:began") == 1:
        time.sleep(seconds)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="probes")
def hold(key: str, seconds: int) -> None:
    """Holds the interpreter, as a C extension can; well from the second delivery on."""
    note(f"{key}:began", str(os.getpid()))
    if client.llen(f"{key}:began") == 1:
        ctypes.PyDLL(None).sleep(seconds)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="probes", on_failed=lambda message, error: note(f"{message.args[0]}:failed", str(error)))
def die(key: str) -> None:
    """Takes its worker with it."""
    note(f"{key}:began", str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_the_first_end() -> None:
    """Has the worker die right behind the script that stores the end of a translation, once in this container."""
    stored, died = Store.finish, Path("/run/tandem/died")

    def finish(self: Store, *arguments: Any, **named: Any) -> bool:
        ended = stored(self, *arguments, **named)
        if ended and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ended

    Store.finish = finish


if os.environ.get("PROBE_DIE_AT_END"):
    die_at_the_first_end()
client = connect(settings.current())
ACTORS = {actor.actor_name: actor for actor in (count, overtake, fail, nap, leak, chatter, block, hold, die)}


@click.command()
@click.argument("actor", type=click.Choice(sorted(ACTORS)))
@click.argument("arguments")
@click.option("--times", default=1, help="How many messages.")
@click.option("--delay", type=int, help="Milliseconds until they are due.")
def probe(actor: str, arguments: str, times: int, delay: int | None) -> None:
    """Send messages to a probe; in ARGUMENTS, a JSON list, "n" stands for the message's number, "now" for the time."""
    values = json.loads(arguments)
    for number in range(times):
        fill = {"n": number, "now": time.time()}
        args = [fill.get(value, value) if isinstance(value, str) else value for value in values]
        ACTORS[actor].send_with_options(args=args, delay=delay)


probes = Workload(name="probes", commands=lambda: (probe,))
