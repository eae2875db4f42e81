"""The lookout: own alerts into the file, shared ones into Redis, all of them to the receiver and to `queue health`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis
from fakeredis import FakeServer

from app.operations import alert_checks, entries
from app.operations.alarms import Readings, Thresholds
from app.operations.entries import FileStore, RedisStore
from app.operations.lookout import Lookout
from app.queueing import checks
from app.queueing.overview import QueueState
from app.settings import Settings

LIMITS = Thresholds(queue_depth=500, failure_rate=0.1, worker_down=300, memory=1000, wait=300, disk=0.9, restarts=5)
DEEP = QueueState("mail", 501, 0, 0, 0, False, 0.0, 0.0)
BAD = Readings(memory=2000, redis="", queues=[DEEP], ended={})


@pytest.fixture
def told() -> list[object]:
    return []


@pytest.fixture
def lookout(redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[object]) -> Lookout:
    monkeypatch.setattr(FileStore.__init__, "__defaults__", (tmp_path / "alerts.json",))

    def tell(_text: str, details: Mapping[str, object]) -> bool:
        told.append(details["alert"])
        return True

    return Lookout(redis_client, LIMITS, interval=0.01, tell=tell)


def see(monkeypatch: pytest.MonkeyPatch, lookout: Lookout, readings: Readings) -> None:
    monkeypatch.setattr(lookout._gatherer, "look", lambda: readings)


def test_alerts_of_the_queue_are_shared_and_all_others_are_its_own(
    lookout: Lookout, redis_client: redis.Redis, told: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, lookout, BAD)
    lookout.look()

    assert set(FileStore().read()) == {"memory"}
    assert set(RedisStore(redis_client).read()) == {"queue-depth"}
    assert told == ["memory", "queue-depth"]


def test_while_redis_is_away_only_its_own_alerts_are_judged(
    lookout: Lookout,
    redis_client: redis.Redis,
    redis_server: FakeServer,
    told: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    see(monkeypatch, lookout, BAD)
    lookout.look()
    redis_server.connected = False
    see(monkeypatch, lookout, Readings(memory=1, redis="Connection refused."))
    for _ in range(4):
        lookout.look()
    redis_server.connected = True

    assert set(FileStore().read()) == {"redis"}
    assert set(RedisStore(redis_client).read()) == {"queue-depth"}
    assert told == ["memory", "queue-depth", "redis", "memory"]


def test_a_redis_that_goes_away_during_a_look_breaks_nothing(
    lookout: Lookout, redis_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.connected = False
    see(monkeypatch, lookout, BAD)
    lookout.look()
    assert set(FileStore().read()) == {"memory"}


def test_a_look_that_breaks_is_followed_by_another_one(
    lookout: Lookout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = []

    def look() -> Readings:
        looks.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(lookout._gatherer, "look", look)
    # The thread ends with its process: what is left of this one only counts.
    caplog.set_level(logging.CRITICAL)
    lookout.start()
    deadline = time.monotonic() + 5
    while len(looks) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(looks) >= 3


def test_health_shows_what_is_raised_and_since_when(
    lookout: Lookout, redis_client: redis.Redis, redis_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alert_checks.alert_checks(Settings()) == []
    see(monkeypatch, lookout, BAD)
    lookout.look()
    results = checks.run(alert_checks.alert_checks(Settings()))

    assert [result.name for result in results] == ["alert memory", "alert queue-depth"]
    since = entries.iso(RedisStore(redis_client).read()["queue-depth"].since)
    assert results[1].detail.startswith("messages wait: 501 in mail") and results[1].detail.endswith(f"(since {since})")
    assert checks.worst(results) == checks.Status.WARN
    redis_server.connected = False
    assert [check.name for check in alert_checks.alert_checks(Settings())] == ["alert memory"]


def test_the_environment_says_how_it_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Thresholds.__dataclass_fields__:
        monkeypatch.setenv(f"ALERT_{name.upper()}", "7")
    monkeypatch.setenv("ALERT_INTERVAL", "3")
    secret = tmp_path / "redis_url"
    secret.write_text("redis://:hunter2@nowhere:6379/5\n")
    monkeypatch.setenv("REDIS_URL_FILE", str(secret))
    lookout = Lookout.from_environment()

    assert lookout._interval == 3 and lookout._thresholds.disk == 7
    arguments = lookout._gatherer._client.connection_pool.connection_kwargs
    assert (arguments["host"], arguments["password"], arguments["db"]) == ("nowhere", "hunter2", 5)
    monkeypatch.delenv("REDIS_URL_FILE")
    arguments = Lookout.from_environment()._gatherer._client.connection_pool.connection_kwargs
    assert arguments["path"] == "/run/tandem/redis.sock"
