"""Workers of one host leave one after the other."""

from __future__ import annotations

import pytest
from fakeredis import FakeRedis, FakeServer

from app.queueing.turns import LEASE_SECONDS, LONGEST_WAIT, Turn
from tests.unit.engine import Clock


def two(client: FakeRedis) -> tuple[Turn, Turn]:
    return Turn(client, "host:worker_00"), Turn(client, "host:worker_01")


def test_one_worker_leaves_at_a_time_until_its_successor_is_at_work(redis_: FakeRedis) -> None:
    first, second = two(redis_)
    elsewhere = Turn(redis_, "other:worker_00")

    assert first.take() and not second.take() and elsewhere.take()
    second.pass_on()
    assert not second.take()
    Turn(redis_, "host:worker_00").pass_on()
    assert second.take()


def test_nobody_waits_for_ever_for_the_turn(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two(redis_)
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert first.take() and not second.take()
    now += LONGEST_WAIT + 1
    assert second.take()


def test_who_drains_keeps_the_turn_and_who_is_gone_does_not(redis_: FakeRedis, clock: Clock) -> None:
    first, second = two(redis_)
    assert first.take()
    clock.forward(LEASE_SECONDS - 1)
    second.renew()  # not the second one's: nothing happens
    first.renew()
    clock.forward(LEASE_SECONDS - 1)
    assert not second.take()
    clock.forward(2)
    assert second.take()


def test_without_redis_a_worker_leaves_when_it_has_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    turn = Turn(FakeRedis(server=server), "host:worker_00")
    server.connected = False
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert not turn.take()
    turn.pass_on()
    now += LONGEST_WAIT + 1
    assert turn.take()
