"""Who sleeps wakes when there is something to do, and only the one who sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
from fakeredis import FakeRedis, FakeServer

from app.queueing import bell, keys
from app.queueing.bell import Bell
from tests.unit.engine import eventually

LIST = keys.bell("default")


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def client(server: FakeServer) -> FakeRedis:
    return FakeRedis(server=server)


@pytest.fixture
def listening(client: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    monkeypatch.setattr(bell, "AGAIN_AFTER", 0.01)
    started = Bell(client, ("first", "default"))
    started.start()
    yield started
    started.stop()


class Sleeper:
    """A thread that sleeps for a minute unless the bell wakes it."""

    def __init__(self, bell: Bell) -> None:
        self.awake = Event()
        self._bell = bell
        Thread(target=self._sleep, daemon=True).start()
        eventually(lambda: bell._wanted.is_set() or self.awake.is_set())

    def _sleep(self) -> None:
        self._bell.wait_for_messages(60)
        self.awake.set()


def test_a_message_wakes(listening: Bell, client: FakeRedis) -> None:
    sleeper = Sleeper(listening)
    client.rpush(LIST, 1)
    assert sleeper.awake.wait(5)
    assert client.llen(LIST) == 0


def test_a_message_that_came_before_wakes_at_once(listening: Bell, client: FakeRedis) -> None:
    client.rpush(LIST, 1)
    assert Sleeper(listening).awake.wait(5)


def test_its_own_process_can_wake_it_now_or_for_the_next_time(listening: Bell) -> None:
    sleeper = Sleeper(listening)
    listening.ring()
    assert sleeper.awake.wait(5)
    listening.ring()
    started = time.monotonic()
    listening.wait(60)
    listening.wait(0)  # only once
    assert time.monotonic() - started < 5


def test_who_does_not_wait_for_messages_is_not_woken_by_them_and_another_hears(
    client: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    blpop = client.blpop

    def note(*names: Any, **more: Any) -> Any:
        heard.append(blpop(*names, **more))
        return heard[-1]

    monkeypatch.setattr(client, "blpop", note)
    busy = Bell(client, ("default",))
    busy.start()
    sleeper = Sleeper(busy)
    busy.ring()
    assert sleeper.awake.wait(5)

    client.rpush(LIST, 1)  # its wait in Redis goes on, and hears it

    eventually(lambda: heard)
    eventually(lambda: client.llen(LIST) == 1)
    assert not busy._rung.is_set()
    busy.stop()


def test_one_ring_wakes_one(listening: Bell, client: FakeRedis) -> None:
    second = Bell(client, ("default",))
    second.start()
    sleepers = [Sleeper(listening), Sleeper(second)]
    client.rpush(LIST, 1)
    eventually(lambda: any(sleeper.awake.is_set() for sleeper in sleepers))
    assert not all(sleeper.awake.wait(0.05) for sleeper in sleepers)
    client.rpush(LIST, 1)
    eventually(lambda: all(sleeper.awake.is_set() for sleeper in sleepers))
    second.stop()


def test_it_is_heard_again_when_redis_has_come_back(listening: Bell, client: FakeRedis, server: FakeServer) -> None:
    server.connected = False
    sleeper = Sleeper(listening)
    assert not sleeper.awake.wait(0.05)
    server.connected = True
    client.rpush(LIST, 1)
    assert sleeper.awake.wait(5)


def test_who_has_stopped_takes_no_ring_from_others(client: FakeRedis) -> None:
    before = set(threading.enumerate())
    stopped = Bell(client, ("default",))
    stopped.start()
    (listener,) = set(threading.enumerate()) - before
    sleeper = Sleeper(stopped)
    stopped.ring()
    assert sleeper.awake.wait(5)

    stopped.stop()
    client.rpush(LIST, 1)  # its last wait in Redis goes on

    listener.join(5)
    assert not listener.is_alive()
    assert client.llen(LIST) == 1
