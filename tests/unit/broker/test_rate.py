"""Rates of queues: how many messages start in a time, over all workers."""

from __future__ import annotations

import random

import pytest
from fakeredis import FakeRedis

from tandem.broker.broker import Broker
from tandem.broker.rate import EXPECTED, Rate, parse
from tandem.testing.stopped_clock import Clock
from tests.unit.harness import FIRST, SECOND, broker_on, ids, send

RATE = {"default": Rate(10, 1000)}


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    broker = broker_on(redis_, FIRST)
    send(broker, *(f"{number:03}" for number in range(300)))
    return broker


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", Rate(10, 1000)), ("5/m", Rate(5, 60_000)), ("1/d", Rate(1, 86_400_000))]
)
def test_a_rate_is_a_number_and_a_unit(text: str, rate: Rate) -> None:
    assert parse(text) == rate


@pytest.mark.parametrize("text", ["0/s", "10", "10/x", "-1/s", "1.5/s", "10 / s", "9999999999/s", "", None, 5])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is invalid: expected a number of messages and a unit"):
        parse(text)
    assert "10/s" in EXPECTED


def test_messages_start_at_their_rate_and_the_worker_knows_when_the_next_one_may(broker: Broker, clock: Clock) -> None:
    first, due_in = broker.store.claim_batch(("default",), 50, {}, RATE)
    assert (ids(first), due_in) == (["000"], 0.1)
    assert broker.store.claim_batch(("default",), 50, {}, RATE) == ([], 0.1)
    clock.forward(0.1)
    assert ids(broker.store.claim_batch(("default",), 50, {}, RATE)[0]) == ["001"]


def test_over_all_workers_no_second_has_more_than_the_rate(redis_: FakeRedis, broker: Broker, clock: Clock) -> None:
    workers = [broker.store, broker_on(redis_, SECOND).store]
    dice = random.Random(13)  # noqa: S311
    started: list[float] = []
    for _ in range(600):
        clock.forward(dice.uniform(0.001, 0.1))
        claimed, _ = dice.choice(workers).claim_batch(("default",), 50, {}, RATE)
        started += [clock.now] * len(claimed)
    # A tenth of the rate may start at once after a pause.
    assert max(sum(moment <= other < moment + 1 for other in started) for moment in started) <= 11
    # Workers ask at random here, and not when the rate allows one more.
    assert len(started) >= 0.7 * 10 * (started[-1] - started[0])


def test_a_rate_of_one_queue_keeps_no_other_queue_waiting(broker: Broker) -> None:
    send(broker, "a", "b", queue="second")
    claimed, _ = broker.store.claim_batch(("default", "second"), 50, {}, RATE)
    assert ids(claimed) == ["000", "a", "b"]


def test_an_empty_queue_uses_nothing_up(redis_: FakeRedis, clock: Clock) -> None:
    broker = broker_on(redis_, FIRST)
    assert broker.store.claim_batch(("default",), 50, {}, RATE) == ([], None)
    send(broker, "a")
    assert ids(broker.store.claim_batch(("default",), 50, {}, RATE)[0]) == ["a"]


def test_without_a_rate_nothing_is_stored_for_one(redis_: FakeRedis, broker: Broker) -> None:
    broker.store.claim_batch(("default",), 50)
    assert not [key for key in redis_.scan_iter() if b"rate" in key]
