"""Actors that note each of their runs, the request that sends them, and a count of how often results are stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import dramatiq

from app import settings
from app.queueing.broker import installed
from app.queueing.connection import connect
from app.queueing.workload import Workload
from app.settings import Settings
from app.translation.store import Store

if TYPE_CHECKING:
    from flask import Blueprint, Response

#: A list of "id time" for every run of an actor, and a hash of translation id -> how often its result was stored.
RUNS = "chaos:runs"
STORED = "chaos:stored"

client = connect(settings.current())

# Redis goes away often here, and an actor that cannot note its run fails: that is not what is to be found out.
PATIENT: dict[str, Any] = {"queue_name": "chaos", "max_retries": 100, "retry_delay": 100, "retry_multiplier": 1}


def note(id_: str) -> None:
    client.rpush(RUNS, f"{id_} {time.time()}")


@dramatiq.actor(**PATIENT)
def mark(id_: str) -> None:
    """The shortest message."""
    note(id_)


@dramatiq.actor(**PATIENT)
def rest(id_: str, seconds: float) -> None:
    """Takes its time."""
    note(id_)
    time.sleep(seconds)


@dramatiq.actor(**PATIENT)
def falter(id_: str, failures: int) -> None:
    """Fails so often, then succeeds."""
    note(id_)
    if client.hincrby("chaos:failures", id_, 1) <= failures:
        raise RuntimeError("not yet")


@dramatiq.actor(**PATIENT | {"max_retries": 1})
def despair(id_: str) -> None:
    """Never succeeds."""
    note(id_)
    raise RuntimeError("never")


ACTORS = {actor.actor_name: actor for actor in (mark, rest, falter, despair)}


def _blueprint(_settings: Settings) -> Blueprint:
    from flask import Blueprint, jsonify, request

    routes = Blueprint("load", __name__)

    @routes.post("/load")
    def send() -> tuple[Response, int]:
        """Sends messages: a list of actor, arguments and delay in ms or null. 202 when all are in the queue."""
        for name, arguments, delay in request.get_json():
            installed().enqueue(ACTORS[name].message(*arguments), delay=delay)
        return jsonify(status="queued"), 202

    return routes


_finish = Store.finish


def _finish_and_count(self: Store, id_: str, run: str, *result: Any) -> bool:
    stored = _finish(self, id_, run, *result)
    if stored:
        client.hincrby(STORED, id_, 1)
    return stored


Store.finish = _finish_and_count  # type: ignore[method-assign]
load = Workload(name="load", blueprint=_blueprint)
