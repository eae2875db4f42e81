"""The time limit comes in time, once, and never to the next message."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import TimeLimitExceeded
from dramatiq.middleware import time_limit as dramatiqs

from tandem.worker.time_limit import TimeLimit
from tests.unit.harness import broker_on, eventually, new_redis

HERE = threading.get_ident()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The seconds of its clock."""
    seconds = [100.0]
    monkeypatch.setattr(dramatiqs, "monotonic", lambda: seconds[0])
    yield seconds


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that it wanted to interrupt."""
    seen: list[int] = []
    monkeypatch.setattr(dramatiqs, "raise_thread_exception", lambda thread, _error: seen.append(thread))
    return seen


def begin(limit: Any, **options: Any) -> None:
    broker = broker_on(new_redis(), "w", limit)
    dramatiq.actor(broker=broker, actor_name="work", **options)(lambda: None)
    limit.before_process_message(broker, broker.get_actor("work").message())


@pytest.mark.parametrize(("options", "seconds"), [({}, 2.0), ({"time_limit": 500}, 0.5)])
def test_a_message_is_interrupted_once_when_its_time_is_over(
    now: list[float], interrupted: list[int], options: dict[str, int], seconds: float
) -> None:
    limit: Any = TimeLimit(time_limit=2)
    begin(limit, **options)
    now[0] += seconds - 0.01
    limit.manager._handle_deadlines()
    assert interrupted == []
    now[0] += 0.02
    for _ in range(3):
        limit.manager._handle_deadlines()
    assert interrupted == [HERE]


def test_a_message_that_has_ended_is_not_interrupted(now: list[float], interrupted: list[int]) -> None:
    limit: Any = TimeLimit(time_limit=2)
    begin(limit)
    limit.after_process_message(None, None)
    now[0] += 10
    limit.manager._handle_deadlines()
    assert interrupted == []


def test_nothing_comes_any_more_once_a_message_has_ended(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    limit: Any = TimeLimit(time_limit=2)
    ended = Event()

    def end() -> None:
        limit.manager.remove_timeout(HERE)
        ended.set()

    def interrupt(*_: object) -> None:
        Thread(target=end).start()
        # In the very moment in which the message ends: it has to wait until the interruption has come.
        assert not ended.wait(0.05)

    monkeypatch.setattr(dramatiqs, "raise_thread_exception", interrupt)
    begin(limit)
    now[0] += 10
    limit.manager._handle_deadlines()
    assert ended.wait(5)


def test_a_thread_really_is_interrupted() -> None:
    limit: Any = TimeLimit(time_limit=0.001)
    never = Event()
    ready = Event()
    seen: list[BaseException] = []

    def act() -> None:
        begin(limit)
        ready.set()
        try:
            while True:
                never.wait(0.001)
        except TimeLimitExceeded as error:
            seen.append(error)

    thread = Thread(target=act, daemon=True)
    thread.start()
    assert ready.wait(5)

    def interrupt() -> bool:
        limit.manager._handle_deadlines()
        return bool(seen)

    eventually(interrupt)
    thread.join(5)
    assert not thread.is_alive()
