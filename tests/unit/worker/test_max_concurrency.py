"""All workers together claim no more messages of a queue than max_concurrency, and no slot is lost with a worker."""

from __future__ import annotations

from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.store import MessageStore
from tandem.worker.recovery import recover
from tests.unit.harness import FIRST, SECOND, broker_on, ids, outcome, places, send, waiting

TWO = {"default": 2}


def pair(client: FakeRedis) -> tuple[MessageStore, MessageStore]:
    """Two workers, and five messages that wait."""
    send(broker_on(client), "a", "b", "c", "d", "e")
    return MessageStore(client, worker=FIRST), MessageStore(client, worker=SECOND)


def fetch(worker: MessageStore, count: int = 10, queues: tuple[str, ...] = ("default",)) -> list[str]:
    return ids(worker.claim_batch(queues, count, TWO)[0])


def test_all_workers_together_take_no_more_than_the_bound(redis_: FakeRedis) -> None:
    one, other = pair(redis_)

    assert (fetch(one, 1), fetch(other)) == (["a"], ["b"])
    assert (fetch(one), fetch(other)) == ([], [])
    assert waiting(redis_) == ["c", "d", "e"]


def test_an_ended_message_frees_its_slot_and_wakes_an_idle_worker(redis_: FakeRedis) -> None:
    one, other = pair(redis_)
    (first, _), _ = one.claim_batch(("default",), 2, TWO)
    redis_.delete(keys.notify("default"))

    one.ack("default", [outcome(first, "retried")])

    assert redis_.llen(keys.notify("default")) > 0
    assert fetch(other) == ["c"]
    assert fetch(other) == []


def test_the_slot_of_a_dead_worker_is_free_once_its_message_is_requeued(redis_: FakeRedis) -> None:
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


def test_a_reached_concurrency_limit_clears_no_notification(redis_: FakeRedis) -> None:
    one, other = pair(redis_)
    fetch(one, 2)
    rings = redis_.llen(keys.notify("default"))

    fetch(other)

    assert redis_.llen(keys.notify("default")) == rings > 0
