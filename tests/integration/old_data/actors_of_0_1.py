"""Actors of version 0.1 whose messages stay: what make.sh stores, the test application of today handles."""

from __future__ import annotations

import time

import click
import dramatiq
from app.queueing.workload import Workload


@dramatiq.actor(queue_name="work")
def count(key: str, number: int) -> None:
    """Never run: the queue is paused."""


@dramatiq.actor(queue_name="work", max_retries=0)
def fail(key: str, number: int) -> None:
    """Become a dead letter."""
    raise RuntimeError("an actor that always fails")


@dramatiq.actor(queue_name="urgent")
def nap(key: str, seconds: float) -> None:
    """Run until the container is killed."""
    time.sleep(3600)


@click.command("store")
def store() -> None:
    """Send one message of each kind."""
    nap.send("napped", 0.1)
    for number in range(2):
        fail.send("failed", number)


@click.command("store-waiting")
def store_waiting() -> None:
    """Send messages to the queue that was paused."""
    for number in range(20):
        count.send("counted", number)
    count.send_with_options(args=("counted", 20), delay=1000)
    count.send_with_options(args=("counted", 21), delay=604_800_000)


workload = Workload(name="old", commands=lambda: (store, store_waiting))
