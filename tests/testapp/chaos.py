"""Actors that record each of their runs, and the route that sends them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import dramatiq

from tandem import Settings, Workload, connect, get_broker

if TYPE_CHECKING:
    from flask import Blueprint, Response

#: A list of "id time" for every run of an actor.
RUNS = "chaos:runs"
#: A list of "actor key begin end" for every run of an actor with a limit that came to its end.
INTERVALS = "chaos:intervals"

client = connect(Settings.current())

# Redis is often unreachable in a chaos run, and an actor that cannot record its run fails: retry it many times.
RETRIED: dict[str, Any] = {"queue_name": "chaos", "max_retries": 100, "retry_delay": 100, "retry_multiplier": 1}


def record(id_: str) -> None:
    client.rpush(RUNS, f"{id_} {time.time()}")


@dramatiq.actor(**RETRIED)  # type: ignore[untyped-decorator]
def mark(id_: str) -> None:
    """Record the run; the shortest message."""
    record(id_)


@dramatiq.actor(**RETRIED)  # type: ignore[untyped-decorator]
def rest(id_: str, seconds: float) -> None:
    """Record the run and sleep."""
    record(id_)
    time.sleep(seconds)


@dramatiq.actor(**RETRIED)  # type: ignore[untyped-decorator]
def flaky(id_: str, failures: int) -> None:
    """Fail `failures` times, then succeed."""
    record(id_)
    if client.hincrby("chaos:failures", id_, 1) <= failures:
        raise RuntimeError("not yet")


@dramatiq.actor(**RETRIED | {"max_retries": 1})  # type: ignore[untyped-decorator]
def always_fails(id_: str) -> None:
    """Always fail."""
    record(id_)
    raise RuntimeError("never")


def occupy(actor: str, id_: str, key: str, seconds: float) -> None:
    """Record the run, sleep, and record from when to when."""
    record(id_)
    begin = time.time()
    time.sleep(seconds)
    client.rpush(INTERVALS, f"{actor} {key} {begin} {time.time()}")


@dramatiq.actor(**RETRIED, max_concurrency=2, concurrency_key=lambda _id, key, _seconds: key)
def bounded(id_: str, key: str, seconds: float) -> None:
    """Run at most twice at a time for each key."""
    occupy("bounded", id_, key, seconds)


@dramatiq.actor(**RETRIED, unique=lambda _id, key, _seconds: key)
def single(id_: str, key: str, seconds: float) -> None:
    """Be in the queue once for each key; others are dropped."""
    occupy("single", id_, key, seconds)


@dramatiq.actor(**RETRIED, rate="20/s")
def rated(id_: str) -> None:
    """Record the run."""
    record(id_)


ACTORS = {actor.actor_name: actor for actor in (mark, rest, flaky, always_fails, bounded, single, rated)}


def _blueprint(_settings: Settings) -> Blueprint:
    from flask import Blueprint, jsonify, request

    routes = Blueprint("chaos", __name__)

    @routes.post("/load")
    def send() -> tuple[Response, int]:
        """Send messages: a list of actor, arguments and delay in ms or null. 202 when all are enqueued."""
        for name, arguments, delay in request.get_json():
            get_broker().enqueue(ACTORS[name].message(*arguments), delay=delay)
        return jsonify(status="queued"), 202

    return routes


workload = Workload(name="chaos", blueprint=_blueprint)
