"""Actors that misbehave as real ones sometimes do, and a command that sends them."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import time
from datetime import datetime
from typing import cast

import click
import dramatiq

from tandem import Settings, Workload, connect, job

logger = logging.getLogger(__name__)
leaked: list[bytearray] = []


def note(key: str, value: str) -> None:
    """Append to a list in Redis that the test reads."""
    connect(Settings.current()).rpush(key, value)


@dramatiq.actor(queue_name="work")
def count(key: str, number: int) -> None:
    """Record the number; the shortest message."""
    client.rpush(key, str(number))


@dramatiq.actor(queue_name="urgent")
def overtake(key: str, sent_at: float) -> None:
    """Record how long the message waited."""
    client.rpush(key, str(time.time() - sent_at))


@dramatiq.actor(queue_name="work", max_retries=1, retry_delay=200)
def fail(key: str, number: int) -> None:
    """Record the number at each attempt and always fail."""
    client.rpush(key, str(number))
    raise RuntimeError("an actor that always fails")


@dramatiq.actor(queue_name="work")
def nap(key: str, seconds: float) -> None:
    """Sleep, then record the end."""
    note(f"{key}:began", str(os.getpid()))
    time.sleep(seconds)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="work")
def wait_for_go(key: str) -> None:
    """Wait until the test adds an element to the list `key`:go, then record the end."""
    note(f"{key}:began", str(os.getpid()))
    while not client.blpop([f"{key}:go"], timeout=1):
        pass
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="work")
def leak(key: str, mebibytes: int) -> None:
    """Leak memory."""
    leaked.append(bytearray(os.urandom(1024)) * 1024 * mebibytes)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="work")
def tick(key: str) -> None:
    """Note the tick of the schedule that has sent this."""
    note(key, str(int(cast(datetime, job.scheduled_at()).timestamp())))


@dramatiq.actor(queue_name="work")
def chatter(tag: str, lines: int, size: int) -> None:
    """Log numbered lines, padded to a size."""
    for number in range(lines):
        logger.info("%s-%06d %s", tag, number, "x" * size)


@dramatiq.actor(queue_name="work", time_limit=500)
def block(key: str, seconds: float) -> None:
    """Block in a system call, where no exception reaches the thread; succeed from the second delivery on."""
    note(f"{key}:began", str(os.getpid()))
    if client.llen(f"{key}:began") == 1:
        time.sleep(seconds)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="work")
def hold(key: str, seconds: int) -> None:
    """Hold the GIL, as a C extension can; succeed from the second delivery on."""
    note(f"{key}:began", str(os.getpid()))
    if client.llen(f"{key}:began") == 1:
        ctypes.PyDLL(None).sleep(seconds)
    note(key, str(os.getpid()))


@dramatiq.actor(queue_name="work", on_failed=lambda message, error: note(f"{message.args[0]}:failed", str(error)))
def die(key: str) -> None:
    """Kill the worker."""
    note(f"{key}:began", str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


client = connect(Settings.current())
ACTORS = {
    actor.actor_name: actor for actor in (count, overtake, fail, nap, wait_for_go, leak, chatter, block, hold, die)
}


@click.command("try")
@click.argument("actor", type=click.Choice(sorted(ACTORS)))
@click.argument("arguments")
@click.option("--times", default=1, help="Number of messages.")
@click.option("--delay", type=int, help="Delay in milliseconds.")
def try_(actor: str, arguments: str, times: int, delay: int | None) -> None:
    """Send messages to an actor; in ARGUMENTS, a JSON list, "n" stands for the message's number, "now" for the time."""
    values = json.loads(arguments)
    for number in range(times):
        fill = {"n": number, "now": time.time()}
        args = tuple(fill.get(value, value) if isinstance(value, str) else value for value in values)
        ACTORS[actor].send_with_options(args=args, delay=delay)


workload = Workload(name="actors", commands=lambda: (try_,))
