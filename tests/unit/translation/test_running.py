"""The calls of a process: how far they are is told, and one whose answer nobody wants is ended."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from app.translation import running
from app.translation.engine.ollama import Call
from app.translation.running import Running


class Wanted:
    """A store in which a run is wanted until it is not; hears what is told of it."""

    def __init__(self) -> None:
        self.runs = {"run"}
        self.told: list[int] = []
        self.looked = threading.Semaphore(0)
        self.trouble = False

    def is_running(self, _id: str, run: str) -> bool:
        self.looked.release()
        if self.trouble:
            raise redis.ConnectionError("away")
        return run in self.runs

    def note_characters(self, id: str, run: str, characters: int) -> bool:
        self.told.append(characters)
        return self.is_running(id, run)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Wanted:
    monkeypatch.setattr(running, "LOOK_EVERY", 0.01)
    return Wanted()


def watched(store: Wanted) -> Running:
    return Running(lambda: store)  # type: ignore[arg-type,return-value]


def await_looks(store: Wanted, count: int) -> None:
    for _ in range(count):
        assert store.looked.acquire(timeout=5)


def await_cut(call: Call) -> bool:
    pause = threading.Event()
    return any(call.was_cut or pause.wait(0.01) for _ in range(500))


def test_how_much_was_answered_is_told_once(store: Wanted) -> None:
    with watched(store).call("id", "run") as call:
        await_looks(store, 2)
        call.characters = 7
        await_looks(store, 5)

    assert store.told == [7]


@pytest.mark.parametrize("characters", [0, 7])
def test_a_call_that_is_not_wanted_any_more_is_cut(store: Wanted, characters: int) -> None:
    with watched(store).call("id", "run") as call:
        await_looks(store, 1)
        assert not call.was_cut
        call.characters = characters
        store.runs.clear()

        assert await_cut(call)


def test_other_calls_go_on(store: Wanted) -> None:
    calls = watched(store)
    with calls.call("id", "run") as wanted, calls.call("other", "cancelled") as other:
        assert await_cut(other)
        await_looks(store, 4)
        assert not wanted.was_cut


def test_a_redis_that_is_away_cuts_nothing(store: Wanted) -> None:
    store.trouble = True
    with watched(store).call("id", "run") as call:
        await_looks(store, 3)
        assert not call.was_cut
        store.trouble = False
        store.runs.clear()
        assert await_cut(call)


def test_nobody_is_asked_while_there_is_no_call(store: Wanted) -> None:
    calls = watched(store)
    with calls.call("id", "run"):
        await_looks(store, 1)
    before: Callable[[], bool] = lambda: store.looked.acquire(timeout=0.2)  # noqa: E731
    while before():  # looks that had begun
        pass

    assert not store.looked.acquire(timeout=0.1)
