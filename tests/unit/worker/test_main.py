"""The start of a worker process."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import dramatiq
import pytest
import redis
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.worker import main
from tandem.worker.executor import Executor
from tandem.worker.main import Stop
from tandem.worker.recycling import Limits, RecyclePolicy
from tests.unit.harness import broker_on, send, waiting


def test_a_full_redis_does_not_keep_a_worker_away(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = broker_on(redis_)
    send(broker, "a")
    broker.declare_queue("default")
    broker.store.claim_batch(("default",), 1)

    def refuse(*_arguments: Any) -> None:
        raise redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")

    monkeypatch.setattr(redis_, "sadd", refuse)

    assert main._prepare(broker, Stop(), ("default",)) == ([], None)
    assert waiting(redis_) == ["a"]


def test_a_wake_up_ends_a_wait_and_no_sleep() -> None:
    stop = Stop()
    stop.wake()
    began = time.monotonic()
    assert not stop.wait(10)
    stop.wake()
    stop.sleep(0.1)
    assert 0.1 <= time.monotonic() - began < 5
    stop.ask("because")
    stop.sleep(10)
    assert stop.wait(10) and stop.reason == "because"
    assert time.monotonic() - began < 5


def test_a_message_wakes_a_worker_that_waited_for_one(redis_: FakeRedis) -> None:
    woken = []
    broker = broker_on(redis_)
    dramatiq.actor(broker=broker, actor_name="work")(lambda _: None)
    broker.in_flight.call_at_next_start(lambda: woken.append(1))
    for name in ("a", "b"):
        send(broker, name)
        ((delivery,), _) = broker.store.claim_batch(("default",), 1)
        Executor(broker).run(delivery)
    assert woken == [1]


def test_failures_in_a_row_are_known_after_a_success(redis_: FakeRedis) -> None:
    broker = broker_on(redis_)
    fails = iter([True, True, False])

    def act(_: str) -> None:
        if next(fails):
            raise ValueError

    dramatiq.actor(broker=broker, actor_name="work")(act)
    for name in ("a", "b", "c"):
        send(broker, name)
        ((delivery,), _) = broker.store.claim_batch(("default",), 1)
        Executor(broker).run(delivery)
    policy = RecyclePolicy(Limits(failures=2), broker.in_flight, lambda: 0)
    assert policy.reached() == "failure limit: 2 of 2 failures in a row"


def test_what_redis_refuses_is_said_once_and_not_called_waiting(
    redis_: FakeRedis, caplog: pytest.LogCaptureFixture
) -> None:
    broker, stop = broker_on(redis_), Stop()
    redis_.set(keys.QUEUES, "a text of another program")
    threading.Timer(0.5, stop.ask, ["enough"]).start()
    assert main._prepare(broker, stop, ("default",)) is None
    (record,) = caplog.records
    assert record.levelname == "ERROR" and "Redis refused a command: WRONGTYPE" in record.getMessage()
    assert "choose another one: REDIS_URL" in record.getMessage()


def test_ctrl_c_and_the_sigterm_of_a_parent_are_one_request_and_ctrl_c_twice_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("os._exit", exits.append)
    stop = Stop()
    stop._on_signal(signal.SIGINT, None)
    stop._on_signal(signal.SIGTERM, None)
    assert (stop.reason, exits) == ("SIGINT", [])
    stop._on_signal(signal.SIGINT, None)
    assert exits == [main.EXIT_KILLED]
