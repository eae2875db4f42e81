"""The alert loop: own alerts in the file, shared ones in Redis, all of them to the receiver and in `queue health`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis
from fakeredis import FakeServer

from tandem.config.settings import Settings
from tandem.health import checks
from tandem.monitor.alert_loop import AlertLoop
from tandem.monitor.alert_rules import MetricsSnapshot, Thresholds
from tandem.monitor.checks import alert_checks
from tandem.operate.alert_entries import FileStore, RedisStore
from tandem.operate.queue_stats import QueueState
from tandem.support.times import iso

LIMITS = Thresholds(queue_depth=500, failure_rate=0.1, worker_down=300, memory=1000, wait=300, disk=0.9, restarts=5)
DEEP = QueueState("mail", 501, 0, 0, 0, False, 0.0, 0.0)
BAD = MetricsSnapshot(memory=2000, redis="", queues=[DEEP], ended={})


@pytest.fixture
def notified() -> list[object]:
    return []


@pytest.fixture
def alert_loop(
    redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notified: list[object]
) -> AlertLoop:
    monkeypatch.setattr(FileStore.__init__, "__defaults__", (tmp_path / "alerts.json",))

    def tell(_text: str, details: Mapping[str, object]) -> bool:
        notified.append(details["alert"])
        return True

    return AlertLoop(redis_client, LIMITS, interval=0.01, notify=tell)


def see(monkeypatch: pytest.MonkeyPatch, alert_loop: AlertLoop, snapshot: MetricsSnapshot) -> None:
    monkeypatch.setattr(alert_loop._collector, "collect", lambda: snapshot)


def test_alerts_of_the_queue_are_shared_and_all_others_are_its_own(
    alert_loop: AlertLoop, redis_client: redis.Redis, notified: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, alert_loop, BAD)
    alert_loop.check()

    assert set(FileStore().read()) == {"memory"}
    assert set(RedisStore(redis_client).read()) == {"queue-depth"}
    assert notified == ["memory", "queue-depth"]


def test_while_redis_is_unavailable_only_its_own_alerts_are_evaluated(
    alert_loop: AlertLoop,
    redis_client: redis.Redis,
    redis_server: FakeServer,
    notified: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    see(monkeypatch, alert_loop, BAD)
    alert_loop.check()
    redis_server.connected = False
    see(monkeypatch, alert_loop, MetricsSnapshot(memory=1, redis="Connection refused."))
    for _ in range(4):
        alert_loop.check()
    redis_server.connected = True

    assert set(FileStore().read()) == {"redis"}
    assert set(RedisStore(redis_client).read()) == {"queue-depth"}
    assert notified == ["memory", "queue-depth", "redis", "memory"]


def test_a_redis_that_fails_during_a_check_breaks_nothing(
    alert_loop: AlertLoop, redis_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.connected = False
    see(monkeypatch, alert_loop, BAD)
    alert_loop.check()
    assert set(FileStore().read()) == {"memory"}


def test_a_check_that_raises_is_followed_by_another_one(
    alert_loop: AlertLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checks_made = []

    def collect() -> MetricsSnapshot:
        checks_made.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(alert_loop._collector, "collect", collect)
    # The thread ends with its process: what is left of this one only counts.
    caplog.set_level(logging.CRITICAL)
    alert_loop.start()
    deadline = time.monotonic() + 5
    while len(checks_made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(checks_made) >= 3
    # Or it would go on in the tests after this one, on the Redis that they share.
    alert_loop.stop()


def test_health_shows_what_is_raised_and_since_when(
    alert_loop: AlertLoop, redis_client: redis.Redis, redis_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alert_checks(Settings()) == []
    see(monkeypatch, alert_loop, BAD)
    alert_loop.check()
    results = checks.run(alert_checks(Settings()))

    assert [result.name for result in results] == ["alert memory", "alert queue-depth"]
    since = iso(RedisStore(redis_client).read()["queue-depth"].since)
    assert results[1].detail.startswith("messages are waiting: 501 in mail") and results[1].detail.endswith(
        f"(since {since})"
    )
    assert checks.worst(results) == checks.Status.WARN
    redis_server.connected = False
    assert [check.name for check in alert_checks(Settings())] == ["alert memory"]


def test_the_environment_sets_the_format(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Thresholds.__dataclass_fields__:
        monkeypatch.setenv(f"ALERT_{name.upper()}", "7")
    monkeypatch.setenv("ALERT_INTERVAL", "3")
    secret = tmp_path / "redis_url"
    secret.write_text("redis://:hunter2@nowhere:6379/5\n")
    monkeypatch.setenv("REDIS_URL_FILE", str(secret))
    alert_loop = AlertLoop.from_environment()

    assert alert_loop._interval == 3 and alert_loop._thresholds.disk == 7
    arguments = alert_loop._collector._client.connection_pool.connection_kwargs
    assert (arguments["host"], arguments["password"], arguments["db"]) == ("nowhere", "hunter2", 5)
    monkeypatch.delenv("REDIS_URL_FILE")
    arguments = AlertLoop.from_environment()._collector._client.connection_pool.connection_kwargs
    assert arguments["path"] == "/run/tandem/redis.sock"
