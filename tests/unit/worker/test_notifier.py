"""Who sleeps wakes when there is something to do, and only the one who sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
from fakeredis import FakeRedis, FakeServer

from tandem.broker import keys
from tandem.worker import notifier
from tandem.worker.notifier import Notifier
from tests.unit.harness import eventually

LIST = keys.notify("default")


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def client(server: FakeServer) -> FakeRedis:
    return FakeRedis(server=server)


@pytest.fixture
def listening(client: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notifier]:
    monkeypatch.setattr(notifier, "BACKOFF", 0.01)
    started = Notifier(client, ("first", "default"))
    started.start()
    yield started
    started.stop()


class Sleeper:
    """A thread that sleeps for a minute unless the notifier wakes it."""

    def __init__(self, notifier: Notifier) -> None:
        self.awake = Event()
        self._notifier = notifier
        Thread(target=self._sleep, daemon=True).start()
        eventually(lambda: notifier._listening.is_set() or self.awake.is_set())

    def _sleep(self) -> None:
        self._notifier.wait_for_messages(60)
        self.awake.set()


def test_a_message_wakes(listening: Notifier, client: FakeRedis) -> None:
    sleeper = Sleeper(listening)
    client.rpush(LIST, 1)
    assert sleeper.awake.wait(5)
    assert client.llen(LIST) == 0


def test_a_message_that_came_before_wakes_at_once(listening: Notifier, client: FakeRedis) -> None:
    client.rpush(LIST, 1)
    assert Sleeper(listening).awake.wait(5)


def test_its_own_process_can_wake_it_now_or_for_the_next_time(listening: Notifier) -> None:
    sleeper = Sleeper(listening)
    listening.notify()
    assert sleeper.awake.wait(5)
    listening.notify()
    started = time.monotonic()
    listening.wait(60)
    listening.wait(0)  # only once
    assert time.monotonic() - started < 5


def test_a_worker_that_does_not_wait_passes_the_notification_on(
    client: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    blpop = client.blpop

    def note(*names: Any, **more: Any) -> Any:
        heard.append(blpop(*names, **more))
        return heard[-1]

    monkeypatch.setattr(client, "blpop", note)
    busy = Notifier(client, ("default",))
    busy.start()
    sleeper = Sleeper(busy)
    busy.notify()
    assert sleeper.awake.wait(5)

    client.rpush(LIST, 1)  # its wait in Redis continues, and receives it

    eventually(lambda: heard)
    eventually(lambda: client.llen(LIST) == 1)
    assert not busy._notified.is_set()
    busy.stop()


def test_one_notification_wakes_one_worker(listening: Notifier, client: FakeRedis) -> None:
    second = Notifier(client, ("default",))
    second.start()
    sleepers = [Sleeper(listening), Sleeper(second)]
    client.rpush(LIST, 1)
    eventually(lambda: any(sleeper.awake.is_set() for sleeper in sleepers))
    assert not all(sleeper.awake.wait(0.05) for sleeper in sleepers)
    client.rpush(LIST, 1)
    eventually(lambda: all(sleeper.awake.is_set() for sleeper in sleepers))
    second.stop()


def test_notifications_arrive_again_after_an_outage_of_redis(
    listening: Notifier, client: FakeRedis, server: FakeServer
) -> None:
    server.connected = False
    sleeper = Sleeper(listening)
    assert not sleeper.awake.wait(0.05)
    server.connected = True
    client.rpush(LIST, 1)
    assert sleeper.awake.wait(5)


def test_a_stopped_worker_takes_no_notification_from_others(client: FakeRedis) -> None:
    before = set(threading.enumerate())
    stopped = Notifier(client, ("default",))
    stopped.start()
    (listener,) = set(threading.enumerate()) - before
    sleeper = Sleeper(stopped)
    stopped.notify()
    assert sleeper.awake.wait(5)

    stopped.stop()
    client.rpush(LIST, 1)  # its last wait in Redis continues

    listener.join(5)
    assert not listener.is_alive()
    assert client.llen(LIST) == 1
