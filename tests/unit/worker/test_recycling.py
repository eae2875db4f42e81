"""After what a worker leaves, and how many messages it takes until then."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from dramatiq import Message
from dramatiq.brokers.stub import StubBroker

from tandem.broker.errors import Snooze
from tandem.broker.in_flight import InFlight, Running
from tandem.worker.quota import Quota
from tandem.worker.recycling import Limits, RecyclePolicy

MIB = 2**20


def message() -> Message[Any]:
    return Message(queue_name="default", actor_name="work", args=(), kwargs={}, options={})


@pytest.fixture
def broker() -> StubBroker:
    import dramatiq

    broker = StubBroker(middleware=[])

    @dramatiq.actor(broker=broker)
    def work() -> None: ...

    return broker


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight(time_limit=60)


def end(in_flight: InFlight, broker: StubBroker, error: BaseException | None = None) -> None:
    in_flight.before_process_message(broker, message())
    in_flight.after_process_message(broker, message(), exception=error)


def test_no_limit_is_never_reached(in_flight: InFlight) -> None:
    policy = RecyclePolicy(Limits(), in_flight, lambda: 10**12)
    assert policy.reached() is policy.memory_reached() is policy.over_hard_limit() is None
    assert str(Limits()) == "only when asked to"


def test_the_time_limit_is_up_to_a_tenth_shorter(in_flight: InFlight, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    watches = [RecyclePolicy(Limits(time=100), in_flight, lambda: 0) for _ in range(200)]
    now = 1089.9
    assert not any(policy.reached() for policy in watches)
    now = 1095
    assert 0 < sum(bool(policy.reached()) for policy in watches) < 200
    now = 1100
    assert all(policy.reached() == "time limit: 100.0 of 100 s" for policy in watches)


def test_the_memory_limit_names_its_figure(in_flight: InFlight) -> None:
    policy = RecyclePolicy(Limits(memory=256 * MIB), in_flight, lambda: 300 * MIB)
    assert policy.memory_reached() == "memory limit: 300 of 256 MiB"
    assert policy.reached() is None
    assert policy.over_hard_limit() is None
    assert (
        RecyclePolicy(Limits(memory=256 * MIB), in_flight, lambda: 600 * MIB).over_hard_limit()
        == "memory 600 of at most 512 MiB"
    )


def test_messages_are_counted_when_they_end(in_flight: InFlight, broker: StubBroker) -> None:
    policy = RecyclePolicy(Limits(messages=2), in_flight, lambda: 0)
    end(in_flight, broker)
    assert policy.urgent() is None
    end(in_flight, broker, ValueError())
    assert policy.urgent() == "message limit: 2 of 2 messages"


def test_only_failures_in_a_row_count(in_flight: InFlight, broker: StubBroker) -> None:
    policy = RecyclePolicy(Limits(failures=2), in_flight, lambda: 0)
    for error in (ValueError(), None, ValueError(), Snooze()):
        end(in_flight, broker, error)
        assert policy.reached() is None
    end(in_flight, broker, ValueError())
    end(in_flight, broker, ValueError())
    assert policy.reached() == "failure limit: 2 of 2 failures in a row"


def test_a_message_is_stuck_when_even_the_interruption_at_its_limit_did_not_help(
    in_flight: InFlight, broker: StubBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_flight.before_process_message(broker, message())
    (running,) = in_flight.running()
    assert running == in_flight.current()
    assert running.limit == 60
    later = Running(running.message_id, running.actor, running.since - 71, running.limit)
    assert later.stuck and not running.stuck


def test_no_more_messages_are_claimed_than_the_quota_allows() -> None:
    quota, delivery = Quota(1000), []

    def take() -> None:
        while granted := quota.reserve(3):
            delivery.append(granted)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(delivery) == 1000
    quota.release(2)
    assert quota.reserve(5) == 2
    assert Quota().reserve(7) == 7
