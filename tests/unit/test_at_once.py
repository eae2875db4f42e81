"""Of a bounded queue only so many messages are with all workers together, and no place is lost with a worker."""

from __future__ import annotations

from fakeredis import FakeRedis

from app.queueing import keys
from app.queueing.delivery import Delivery
from app.queueing.recovery import recover
from tests.unit.engine import FIRST, SECOND, broker_on, ids, outcome, places, send, waiting

TWO = {"default": 2}


def pair(client: FakeRedis) -> tuple[Delivery, Delivery]:
    """Two workers, and five messages that wait."""
    send(broker_on(client), "a", "b", "c", "d", "e")
    return Delivery(client, worker=FIRST), Delivery(client, worker=SECOND)


def fetch(worker: Delivery, count: int = 10, queues: tuple[str, ...] = ("default",)) -> list[str]:
    return ids(worker.fetch(queues, count, TWO)[0])


def test_all_workers_together_take_no_more_than_the_bound(redis_: FakeRedis) -> None:
    one, other = pair(redis_)

    assert (fetch(one, 1), fetch(other)) == (["a"], ["b"])
    assert (fetch(one), fetch(other)) == ([], [])
    assert waiting(redis_) == ["c", "d", "e"]


def test_a_message_that_ends_gives_its_place_to_the_next_and_wakes_somebody(redis_: FakeRedis) -> None:
    one, other = pair(redis_)
    (first, _), _ = one.fetch(("default",), 2, TWO)
    redis_.delete(keys.bell("default"))

    one.settle("default", [outcome(first, "retried")])

    assert redis_.llen(keys.bell("default")) > 0
    assert fetch(other) == ["c"]
    assert fetch(other) == []


def test_the_place_of_a_worker_that_died_is_free_when_its_message_is_back(redis_: FakeRedis) -> None:
    one, other = pair(redis_)
    fetch(one, 2)
    assert fetch(other) == []

    successor = broker_on(redis_, FIRST)
    successor.declare_queue("default")
    recover(successor)

    assert fetch(other) == ["a", "b"]


def test_the_bound_of_one_queue_keeps_nothing_of_another(redis_: FakeRedis) -> None:
    one, other = pair(redis_)
    send(broker_on(redis_), "x", "y", "z", queue="mails")
    fetch(one, 2)

    assert fetch(other, 10, ("default", "mails")) == ["x", "y", "z"]
    assert places(redis_)["c"] == "ready"


def test_a_bound_that_is_reached_silences_no_bell(redis_: FakeRedis) -> None:
    one, other = pair(redis_)
    fetch(one, 2)
    rings = redis_.llen(keys.bell("default"))

    fetch(other)

    assert redis_.llen(keys.bell("default")) == rings > 0
