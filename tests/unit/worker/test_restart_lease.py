"""Workers of one host leave one after the other."""

from __future__ import annotations

import pytest
from fakeredis import FakeRedis, FakeServer

from tandem.testing.stopped_clock import Clock
from tandem.worker.restart_lease import LEASE_SECONDS, MAX_WAIT_SECONDS, RestartLease


def two(client: FakeRedis) -> tuple[RestartLease, RestartLease]:
    return RestartLease(client, "host:worker_00"), RestartLease(client, "host:worker_01")


def test_one_worker_leaves_at_a_time_until_its_successor_is_at_work(redis_: FakeRedis) -> None:
    first, second = two(redis_)
    elsewhere = RestartLease(redis_, "other:worker_00")

    assert first.acquire() and not second.acquire() and elsewhere.acquire()
    second.release()
    assert not second.acquire()
    RestartLease(redis_, "host:worker_00").release()
    assert second.acquire()


def test_no_worker_waits_forever_for_the_lease(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two(redis_)
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert first.acquire() and not second.acquire()
    now += MAX_WAIT_SECONDS + 1
    assert second.acquire()


def test_a_draining_worker_keeps_the_lease_and_a_missing_one_does_not(redis_: FakeRedis, clock: Clock) -> None:
    first, second = two(redis_)
    assert first.acquire()
    clock.forward(LEASE_SECONDS - 1)
    second.renew()  # not the second one's: nothing happens
    first.renew()
    clock.forward(LEASE_SECONDS - 1)
    assert not second.acquire()
    clock.forward(2)
    assert second.acquire()


def test_without_redis_a_worker_leaves_when_it_has_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    lease = RestartLease(FakeRedis(server=server), "host:worker_00")
    server.connected = False
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert not lease.acquire()
    lease.release()
    now += MAX_WAIT_SECONDS + 1
    assert lease.acquire()
