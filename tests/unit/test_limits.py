"""After what a worker leaves, and how many messages it takes until then."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from dramatiq import Message
from dramatiq.brokers.stub import StubBroker

from app.queueing.activity import Activity, Running
from app.queueing.budget import Budget
from app.queueing.errors import Continue
from app.queueing.limits import Limits, Watch

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
def activity() -> Activity:
    return Activity(time_limit=60)


def end(activity: Activity, broker: StubBroker, error: BaseException | None = None) -> None:
    activity.before_process_message(broker, message())
    activity.after_process_message(broker, message(), exception=error)


def test_no_limit_is_never_reached(activity: Activity) -> None:
    watch = Watch(Limits(), activity, lambda: 10**12)
    assert watch.reached() is watch.memory_reached() is watch.runaway() is None
    assert str(Limits()) == "only when told to"


def test_the_time_limit_is_up_to_a_tenth_shorter(activity: Activity, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    watches = [Watch(Limits(time=100), activity, lambda: 0) for _ in range(200)]
    now = 1089.9
    assert not any(watch.reached() for watch in watches)
    now = 1095
    assert 0 < sum(bool(watch.reached()) for watch in watches) < 200
    now = 1100
    assert all(watch.reached() == "time limit: 100.0 of 100 s" for watch in watches)


def test_the_memory_limit_names_its_figure(activity: Activity) -> None:
    watch = Watch(Limits(memory=256 * MIB), activity, lambda: 300 * MIB)
    assert watch.memory_reached() == "memory limit: 300 of 256 MiB"
    assert watch.reached() is None
    assert watch.runaway() is None
    assert Watch(Limits(memory=256 * MIB), activity, lambda: 600 * MIB).runaway() == "memory 600 of at most 512 MiB"


def test_messages_are_counted_when_they_end(activity: Activity, broker: StubBroker) -> None:
    watch = Watch(Limits(messages=2), activity, lambda: 0)
    end(activity, broker)
    assert watch.urgent() is None
    end(activity, broker, ValueError())
    assert watch.urgent() == "message limit: 2 of 2 messages"


def test_only_failures_in_a_row_count(activity: Activity, broker: StubBroker) -> None:
    watch = Watch(Limits(failures=2), activity, lambda: 0)
    for error in (ValueError(), None, ValueError(), Continue()):
        end(activity, broker, error)
        assert watch.reached() is None
    end(activity, broker, ValueError())
    end(activity, broker, ValueError())
    assert watch.reached() == "failure limit: 2 of 2 failures in a row"


def test_a_message_is_stuck_when_even_the_interruption_at_its_limit_did_not_help(
    activity: Activity, broker: StubBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    activity.before_process_message(broker, message())
    (running,) = activity.running()
    assert running == activity.current()
    assert running.limit == 60
    later = Running(running.message_id, running.actor, running.since - 71, running.limit)
    assert later.stuck and not running.stuck


def test_no_more_messages_are_taken_than_the_budget_allows() -> None:
    budget, taken = Budget(1000), []

    def take() -> None:
        while granted := budget.take(3):
            taken.append(granted)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1000
    budget.put_back(2)
    assert budget.take(5) == 2
    assert Budget().take(7) == 7
