"""Unique messages: a second one is not sent while the first one is there, and no death leaves anything behind."""

from __future__ import annotations

from typing import Any, cast

import dramatiq
import pytest
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.idempotency import JobRecord
from tandem.broker.message_keys import MAX_KEY
from tandem.broker.unique import DuplicateMessage, UniqueOptions
from tandem.testing.stopped_clock import Clock
from tandem.worker.executor import Executor
from tests.unit.harness import FIRST, SECOND, broker_on, waiting


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    return broker_on(redis_, FIRST, UniqueOptions(), max_retries=0)


def actor(broker: Broker, act: Any = lambda *_: None, **options: Any) -> dramatiq.Actor[..., Any]:
    return dramatiq.actor(broker=broker, actor_name="work", **{"unique": True, **options})(act)


def arguments(broker: Broker) -> list[Any]:
    payloads = cast(Any, broker.client).hmget(keys.payloads("default"), waiting(cast(Any, broker.client)) or ["none"])
    return [dramatiq.Message.decode(payload).args for payload in payloads if payload]


def claim(broker: Broker) -> Any:
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    return delivery


def end(broker: Broker, delivery: Any) -> str:
    outcome = Executor(broker).run(delivery)
    assert broker.store.ack("default", [outcome]) == set()
    return outcome.result


def test_a_second_one_is_not_sent_while_the_first_one_waits_or_runs(broker: Broker) -> None:
    work = actor(broker)
    work.send(1)
    work.send(1)
    work.send(2)
    assert arguments(broker) == [(1,), (2,)]
    running = claim(broker)
    work.send(1)
    assert arguments(broker) == [(2,)]
    assert end(broker, running) == "completed"
    work.send(1)
    assert arguments(broker) == [(2,), (1,)]


def test_a_key_function_says_what_is_the_same(broker: Broker) -> None:
    work = actor(broker, unique=lambda customer, _text: customer)
    work.send("a", "one")
    work.send("a", "two")
    work.send("b", "three")
    assert arguments(broker) == [("a", "one"), ("b", "three")]


def test_until_the_start_one_may_wait_while_one_runs(broker: Broker) -> None:
    work = actor(broker, until="start")
    for _ in range(3):
        work.send(1)
    first = claim(broker)
    for _ in range(3):
        work.send(1)
    assert arguments(broker) == [(1,)]
    assert end(broker, first) == "completed"
    # The one that waits counts, although it has another place than the first one had.
    work.send(1)
    assert arguments(broker) == [(1,)]
    second = claim(broker)
    work.send(1)
    assert arguments(broker) == [(1,)]
    assert end(broker, second) == "completed"


def test_the_one_that_waits_can_get_the_new_arguments_in_its_place(broker: Broker) -> None:
    work = actor(broker, unique=lambda name, _value: name, until="start", on_duplicate="replace")
    for name, value in (("a", 1), ("b", 1), ("a", 2), ("a", 3)):
        work.send(name, value)
    assert arguments(broker) == [("a", 3), ("b", 1)]


def test_a_second_one_can_be_an_error(broker: Broker) -> None:
    work = actor(broker, on_duplicate="error")
    work.send(1)
    with pytest.raises(DuplicateMessage, match="a message of work with the same key is in the queue"):
        work.send(1)
    assert arguments(broker) == [(1,)]


def test_the_death_of_a_worker_frees_nothing_and_blocks_nothing(
    broker: Broker, redis_: FakeRedis, clock: Clock
) -> None:
    work = actor(broker)
    work.send(1)
    claim(broker)
    work.send(1)
    assert arguments(broker) == []
    other = broker_on(redis_, SECOND, UniqueOptions())
    dramatiq.actor(broker=other, actor_name="work", unique=True)(lambda *_: None)
    lost = other.store.for_worker(FIRST)
    assert lost.requeue("default", [delivery.id for delivery in lost.claimed("default")], untouched=False) == 1
    assert end(other, claim(other)) == "completed"
    work.send(1)
    assert arguments(broker) == [(1,)]


def test_each_that_fails_is_a_dead_letter_of_its_own(broker: Broker, redis_: FakeRedis, clock: Clock) -> None:
    def act(*_: object) -> None:
        raise ValueError("no")

    work = actor(broker, act)
    for _ in range(3):
        work.send(1)
        assert end(broker, claim(broker)) == "failed"
        clock.forward(1)
    assert cast(Any, redis_).zcard(keys.dead("default")) == 3
    assert cast(Any, redis_).hlen(keys.dead_payloads("default")) == 3
    assert cast(Any, redis_).hget(keys.dead_counts("default"), "work\tValueError") == b"3"


@pytest.mark.parametrize(
    ("unique", "problem"),
    [
        (lambda *_: 1 / 0, "the option unique of work failed: ZeroDivisionError: division by zero"),
        (lambda *_: "x" * 2**20, f"the key of work has 1,048,576 characters: expected at most {MAX_KEY:,}"),
        (lambda: "", "the option unique of work failed: TypeError"),
    ],
)
def test_a_key_that_cannot_be_made_sends_nothing(broker: Broker, unique: Any, problem: str) -> None:
    work = actor(broker, unique=unique)
    with pytest.raises(ValueError, match=problem):
        work.send(1)
    assert waiting(cast(Any, broker.client)) == []


def test_where_a_message_is_not_sent_alone_it_cannot_be_unique(broker: Broker) -> None:
    work = actor(broker)
    for send in (
        lambda: broker.enqueue_many([work.message(1)]),
        lambda: broker.outbox_message(work.message(1)),
        lambda: broker.enqueue_once(work.message(1), JobRecord("k", {"a": 1}, "i", "m"), most_waiting=5),
    ):
        with pytest.raises(ValueError, match="work has the option unique: send its messages one by one"):
            send()
    assert waiting(cast(Any, broker.client)) == []
