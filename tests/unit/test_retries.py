"""Retries: when they come, when there are none, and that none is lost while Redis is away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Worker
from dramatiq.brokers.stub import StubBroker

from app.queueing import retries
from app.queueing.errors import PermanentError
from app.queueing.retries import Retries


class Delays(dramatiq.Middleware):
    """Notes each retry's delay and lets it come at once."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def before_enqueue(self, _broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
        if delay is not None:
            self.seen.append(delay)
            message.options["eta"] = 0


@pytest.fixture
def delays() -> Delays:
    return Delays()


@pytest.fixture
def broker(delays: Delays) -> StubBroker:
    return StubBroker(middleware=[delays, Retries(max_retries=3, delay=1000, multiplier=2)])


@pytest.fixture
def worker(broker: StubBroker) -> Iterator[Worker]:
    worker = Worker(broker, worker_timeout=10, worker_threads=1)
    worker.start()
    yield worker
    worker.stop()


def handle(broker: StubBroker, worker: Worker, actor: Any) -> None:
    actor.send()
    broker.join("default", timeout=5000, fail_fast=False)
    worker.join()


def test_delays_grow_from_one_retry_to_the_next(broker: StubBroker, worker: Worker, delays: Delays) -> None:
    calls = []

    @dramatiq.actor(broker=broker)
    def fail() -> None:
        calls.append(1)
        raise ValueError("no")

    handle(broker, worker, fail)

    assert len(calls) == 4
    assert len(delays.seen) == 3
    for delay, nominal in zip(delays.seen, [1000, 2000, 4000], strict=True):
        assert 0.9 * nominal <= delay <= 1.1 * nominal
    assert len(broker.dead_letters) == 1


def test_an_actor_chooses_its_own(broker: StubBroker, worker: Worker, delays: Delays) -> None:
    @dramatiq.actor(broker=broker, max_retries=1, retry_delay=50)
    def fail() -> None:
        raise ValueError("no")

    handle(broker, worker, fail)

    assert len(delays.seen) == 1
    assert 45 <= delays.seen[0] <= 55


def test_an_error_that_no_retry_can_mend_is_final_at_once(broker: StubBroker, worker: Worker, delays: Delays) -> None:
    @dramatiq.actor(broker=broker)
    def fail() -> None:
        raise PermanentError("never")

    handle(broker, worker, fail)

    assert delays.seen == []
    assert len(broker.dead_letters) == 1


def test_the_actor_hears_of_the_final_failure_once(broker: StubBroker, worker: Worker) -> None:
    heard = []

    @dramatiq.actor(broker=broker, on_failed=lambda message, error: heard.append((message.actor_name, str(error))))
    def fail() -> None:
        raise ValueError("no")

    handle(broker, worker, fail)

    assert heard == [("fail", "no")]


def test_a_message_is_a_dead_letter_even_if_the_actors_last_word_breaks(broker: StubBroker, worker: Worker) -> None:
    def break_down(_message: object, _error: object) -> None:
        raise RuntimeError("a bug")

    @dramatiq.actor(broker=broker, max_retries=0, on_failed=break_down)
    def fail() -> None:
        raise ValueError("no")

    handle(broker, worker, fail)

    assert len(broker.dead_letters) == 1


def test_a_retry_that_redis_does_not_take_is_stored_later(
    broker: StubBroker, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "STORE_AGAIN_AFTER", (0.001, 0.01))
    calls: list[int] = []
    refusals = iter(range(5))
    enqueue = broker.enqueue

    def refuse(message: Any, *, delay: int | None = None) -> Any:
        if delay is not None and next(refusals, None) is not None:
            raise redis.ConnectionError("away")
        return enqueue(message, delay=delay)

    @dramatiq.actor(broker=broker)
    def fail_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no")

    monkeypatch.setattr(broker, "enqueue", refuse)
    handle(broker, worker, fail_once)

    assert len(calls) == 2
    assert next(refusals, None) is None
    assert broker.dead_letters == []


def test_the_log_tells_attempt_delay_and_reason(
    broker: StubBroker, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    @dramatiq.actor(broker=broker, max_retries=1, retry_delay=1)
    def fail() -> None:
        raise ValueError("no such file")

    with caplog.at_level(logging.WARNING, "app.queueing"):
        handle(broker, worker, fail)

    texts = [record.getMessage() for record in caplog.records if record.name == "app.queueing.retries"]
    assert texts == [
        "attempt 1 failed, again in 1 ms: no such file",
        "gave up after attempt 2: ValueError: no such file",
    ]
