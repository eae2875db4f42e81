"""A worker is lost when it was seen to be silent, and never because a clock, Redis or the watcher stood still."""

from __future__ import annotations

import os

import pytest
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.monitor import heartbeat_relay
from tandem.monitor.heartbeat_relay import HeartbeatRelay
from tandem.worker import heartbeat_file
from tandem.worker.failure_detector import LOST_SECONDS, MAX_GAP_SECONDS, FailureDetector


class RecyclePolicy:
    """A failure detector, and its clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.lost = FailureDetector()
        patch.setattr("tandem.worker.failure_detector.time.monotonic", lambda: self.now)

    def look_for(self, seconds: float, heartbeats: dict[str, float]) -> list[str]:
        """Check every two seconds; return the result of the last check."""
        seen: list[str] = []
        for _ in range(int(seconds / 2) + 1):
            seen = self.lost.check(heartbeats)
            self.now += 2
        return seen


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> RecyclePolicy:
    return RecyclePolicy(monkeypatch)


def test_a_worker_is_lost_after_ten_seconds_without_a_heartbeat_and_not_before(policy: RecyclePolicy) -> None:
    assert policy.look_for(LOST_SECONDS - 2, {"silent": 1.0}) == []
    assert policy.look_for(0, {"silent": 1.0}) == ["silent"]


def test_who_beats_is_never_lost(policy: RecyclePolicy) -> None:
    for beat in range(60):
        assert policy.look_for(4, {"busy": float(beat)}) == []


def test_an_old_heartbeat_alone_proves_nothing(policy: RecyclePolicy) -> None:
    policy.look_for(4, {"other": 1.0})
    assert policy.look_for(0, {"other": 2.0, "new here": -1e9}) == []


def test_after_a_gap_between_checks_the_silence_is_counted_from_zero(policy: RecyclePolicy) -> None:
    policy.look_for(LOST_SECONDS - 2, {"all": 1.0})
    policy.now += MAX_GAP_SECONDS + 60  # Redis was away, or this container was paused

    assert policy.look_for(LOST_SECONDS - 2, {"all": 1.0}) == []


def test_the_monitor_beats_for_workers_that_live_and_for_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = 2**22 + 1  # above the highest possible process id
    signs_left = {"worker_00": {"pid": os.getpid()}, "worker_01": {"pid": nobody}}
    monkeypatch.setattr(heartbeat_file, "read", lambda: signs_left)
    monkeypatch.setattr("tandem.monitor.heartbeat_relay.socket.gethostname", lambda: "here")
    client = FakeRedis()

    HeartbeatRelay(client).send(heartbeat_relay.alive())

    assert client.zrange(keys.HEARTBEATS, 0, -1) == [b"here:worker_00"]
