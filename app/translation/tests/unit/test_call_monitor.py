"""The calls of a process: their progress is reported, and calls that are no longer needed are cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from app.translation import call_monitor
from app.translation.call_monitor import CallMonitor
from app.translation.engine.ollama import Call


class Breaker:
    """A circuit breaker of which only the record of answers is used."""

    def __init__(self) -> None:
        self.times = 0
        self.recent = False

    def record_answer(self, *, seconds: float) -> None:
        self.times += 1

    def answered_recently(self) -> bool:
        return self.recent


class Filter:
    """A store with a set of running runs; records what is reported."""

    def __init__(self) -> None:
        self.runs = {"run"}
        self.reported: list[int] = []
        self.checked = threading.Semaphore(0)
        self.trouble = False
        self.breaker = Breaker()
        self.silence = 30.0
        self.stopping = False

    def is_running(self, _id: str, run: str) -> bool:
        self.checked.release()
        if self.trouble:
            raise redis.ConnectionError("away")
        return run in self.runs

    def note_characters(self, id: str, run: str, characters: int) -> bool:
        self.reported.append(characters)
        return self.is_running(id, run)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Filter:
    monkeypatch.setattr(call_monitor, "POLL_INTERVAL", 0.01)
    return Filter()


def watched(store: Filter) -> CallMonitor:
    return CallMonitor(
        lambda: store,  # type: ignore[arg-type,return-value]
        breaker=lambda: store.breaker,  # type: ignore[arg-type,return-value]
        silence=lambda: store.silence,
        is_stopping=lambda: store.stopping,
    )


def await_checks(store: Filter, count: int) -> None:
    for _ in range(count):
        assert store.checked.acquire(timeout=5)


def await_cancelled(call: Call) -> bool:
    pause = threading.Event()
    return any(call.was_cancelled or pause.wait(0.01) for _ in range(500))


def test_progress_is_reported_once(store: Filter) -> None:
    with watched(store).call("id", "run") as call:
        await_checks(store, 2)
        call.characters = 7
        await_checks(store, 5)

    assert store.reported == [7]


@pytest.mark.parametrize("characters", [0, 7])
def test_a_call_that_is_no_longer_needed_is_cancelled(store: Filter, characters: int) -> None:
    with watched(store).call("id", "run") as call:
        await_checks(store, 1)
        assert not call.was_cancelled
        call.characters = characters
        store.runs.clear()

        assert await_cancelled(call)


def test_other_calls_continue(store: Filter) -> None:
    calls = watched(store)
    with calls.call("id", "run") as wanted, calls.call("other", "cancelled") as other:
        assert await_cancelled(other)
        await_checks(store, 4)
        assert not wanted.was_cancelled


def test_no_call_is_cancelled_while_redis_is_unreachable(store: Filter) -> None:
    store.trouble = True
    with watched(store).call("id", "run") as call:
        await_checks(store, 3)
        assert not call.was_cancelled
        store.trouble = False
        store.runs.clear()
        assert await_cancelled(call)


def test_nothing_is_checked_while_there_is_no_call(store: Filter) -> None:
    calls = watched(store)
    with calls.call("id", "run"):
        await_checks(store, 1)
    before: Callable[[], bool] = lambda: store.checked.acquire(timeout=0.2)  # noqa: E731
    while before():  # looks that had begun
        pass

    assert not store.checked.acquire(timeout=0.1)


def test_a_call_without_a_byte_waits_while_others_are_answered_and_is_given_up_otherwise(
    store: Filter,
) -> None:
    store.silence, store.breaker.recent = 0.05, True
    with watched(store).call("id", "run") as call:
        await_checks(store, 20)
        assert not call.was_silent
        store.breaker.recent = False

        await_checks(store, 20)
        assert call.was_silent


def test_a_patient_call_and_an_answered_call_are_not_given_up(store: Filter) -> None:
    store.silence, calls = 0.0, watched(store)
    with calls.call("id", "run", patient=True) as patient, calls.call("id", "run") as answered:
        answered.answered = True
        await_checks(store, 20)
        assert not patient.was_silent
        assert not answered.was_silent


def test_an_answered_call_is_recorded_for_all_workers(store: Filter) -> None:
    with watched(store).call("id", "run") as call:
        await_checks(store, 3)
        assert store.breaker.times == 0
        call.characters = 7
        await_checks(store, 3)
    assert store.breaker.times == 1


def test_a_stopping_worker_finishes_its_calls_but_waits_for_no_load(store: Filter) -> None:
    store.stopping, calls = True, watched(store)
    with calls.call("id", "run") as asked, calls.call("id", "run", patient=True) as load:
        assert await_cancelled(load)
        await_checks(store, 4)
        assert not asked.was_cancelled


def test_a_stopping_worker_does_not_wait_for_other_calls(store: Filter) -> None:
    store.stopping, store.silence, store.breaker.recent = True, 0.05, True
    calls = watched(store)
    with calls.call("id", "run") as waiting, calls.call("id", "run") as answered:
        answered.answered = True
        assert await_cancelled(waiting)
        assert not answered.was_cancelled


def test_a_running_call_sends_heartbeats(store: Filter) -> None:
    beats: list[int] = []
    with watched(store).call("id", "run", heartbeat=lambda: beats.append(1)):
        await_checks(store, 3)
    assert beats
