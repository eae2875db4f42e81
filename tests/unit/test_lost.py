"""A worker is lost when it was seen to be silent, and never because a clock, Redis or the watcher stood still."""

from __future__ import annotations

import os

import pytest
from fakeredis import FakeRedis

from app.operations import vouching
from app.operations.vouching import Vouching
from app.queueing import keys, signs
from app.queueing.lost import LONGEST_GAP, LOST_SECONDS, LostWorkers


class Watch:
    """A watcher, and the clock that it goes by."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.lost = LostWorkers()
        patch.setattr("app.queueing.lost.time.monotonic", lambda: self.now)

    def look_for(self, seconds: float, heartbeats: dict[str, float]) -> list[str]:
        """Looks every two seconds; what the last look said."""
        seen: list[str] = []
        for _ in range(int(seconds / 2) + 1):
            seen = self.lost.look(heartbeats)
            self.now += 2
        return seen


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def test_who_is_silent_for_ten_seconds_is_lost_and_nobody_before(watch: Watch) -> None:
    assert watch.look_for(LOST_SECONDS - 2, {"silent": 1.0}) == []
    assert watch.look_for(0, {"silent": 1.0}) == ["silent"]


def test_who_beats_is_never_lost(watch: Watch) -> None:
    for beat in range(60):
        assert watch.look_for(4, {"busy": float(beat)}) == []


def test_an_old_heartbeat_alone_proves_nothing(watch: Watch) -> None:
    watch.look_for(4, {"other": 1.0})
    assert watch.look_for(0, {"other": 2.0, "new here": -1e9}) == []


def test_after_a_time_without_looks_the_silence_counts_anew(watch: Watch) -> None:
    watch.look_for(LOST_SECONDS - 2, {"all": 1.0})
    watch.now += LONGEST_GAP + 60  # Redis was away, or this container was paused

    assert watch.look_for(LOST_SECONDS - 2, {"all": 1.0}) == []


def test_the_monitor_beats_for_workers_that_live_and_for_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = 2**22 + 1  # above the highest process id there can be
    signs_left = {"worker_00": {"pid": os.getpid()}, "worker_01": {"pid": nobody}}
    monkeypatch.setattr(signs, "read", lambda: signs_left)
    monkeypatch.setattr("app.operations.vouching.socket.gethostname", lambda: "here")
    client = FakeRedis()

    Vouching(client).beat(vouching.alive())

    assert client.zrange(keys.HEARTBEATS, 0, -1) == [b"here:worker_00"]
