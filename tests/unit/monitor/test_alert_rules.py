"""Which figures are worth waking someone, and what is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tandem.broker.statistics import Counts
from tandem.config.settings import THRESHOLDS, Settings
from tandem.monitor.alert_rules import SHARED, MetricsSnapshot, Thresholds, evaluate
from tandem.operate.queue_stats import QueueState

LIMITS = Thresholds(
    queue_depth=500,
    failure_rate=0.1,
    worker_down=300,
    memory=512 * 2**20,
    wait=300,
    disk=0.9,
    restarts=5,
    disk_free=128 * 2**20,
)
OFF = Thresholds(0, 0, 0, 0, 0, 0, 0)


def queue(**figures: Any) -> QueueState:
    return replace(QueueState("mail", 1, 0, 0, 0, False, 0.0, 0.0), **figures)


# What is just not worth it, what just is, and what the sentence says.
EDGES = [
    ("queue-depth", {"queues": [queue(ready=500)]}, {"queues": [queue(ready=501)]}, "501 in mail, more than 500"),
    (
        "failure-rate",
        {"ended": {"send": Counts(completed=9, retried=50, failed=1)}},
        {"ended": {"send": Counts(completed=8, failed=0), "die": Counts(completed=0, failed=2)}},
        "2 of 10 messages (20%) failed for good in 10 minutes, more than 10% (ALERT_FAILURE_RATE), most of them of d",
    ),
    ("failure-rate", {"ended": {"a": Counts(failed=9)}}, {"ended": {"a": Counts(failed=10)}}, "10 of 10 messages"),
    (
        "oldest-message",
        {"queues": [queue(oldest_seconds=300.0)]},
        {"queues": [queue(oldest_seconds=301.0, paused=True)]},
        "301 s in mail, which is paused, longer than 300 s (ALERT_WAIT)",
    ),
    ("oldest-message", {"queues": [queue(ready=0, oldest_seconds=999.0)]}, {}, ""),
    (
        "delayed-messages",
        {"queues": [queue(overdue_seconds=60.0), queue(overdue_seconds=999.0, paused=True)]},
        {"queues": [queue(overdue_seconds=61.0)]},
        "due for 61 s in mail, longer than 60 s",
    ),
    ("wrong-tokens", {"wrong_tokens": 100}, {"wrong_tokens": 101}, "101 requests with a wrong API token in 10 minutes"),
    (
        "workers",
        {"workers_down": {"worker_00": 299.0}},
        {"workers_down": {"worker_00": 300.0, "worker_01": 5.0}},
        "down: worker_00 for 300 s, the limit is 300 s (ALERT_WORKER_DOWN)",
    ),
    (
        "memory",
        {"memory": 512 * 2**20},
        {"memory": 513 * 2**20},
        "uses 513 MiB, more than 512 MiB (ALERT_MEMORY)",
    ),
    (
        "disk",
        {"disks": {"/data": 0.899, "/logs": 0.1}},
        {"disks": {"/data": 0.9, "/logs": 0.1}},
        "the disk of /data is 90% full, the limit is 90% (ALERT_DISK)",
    ),
    (
        "disk",
        {"disks": {"/data": 0.5}, "free": {"/data": 128 * 2**20, "/logs": 0}},
        {"disks": {"/data": 0.5}, "free": {"/data": 127 * 2**20, "/logs": 2**40}},
        "127 MiB are free on the disk of /data, less than 128 MiB: free disk space before new",
    ),
    (
        "restarts",
        {"restarts": {"web": 4, "worker_00": 4}},
        {"restarts": {"web": 5, "worker_00": 4}},
        "web 5 times, the limit is 5 (ALERT_RESTARTS)",
    ),
    ("redis", {"redis": ""}, {"redis": "Connection refused."}, "Redis is unavailable, so no message is"),
    ("web", {"web": ""}, {"web": "timed out"}, "web does not answer: timed out"),
    (
        "upstream",
        {"checks": {"upstream": ""}},
        {"checks": {"upstream": "upstream is away"}},
        "upstream: upstream is away",
    ),
]


@pytest.mark.parametrize(("name", "fine", "bad", "said"), EDGES)
def test_each_alert_fires_above_its_threshold_and_names_the_value(
    name: str, fine: dict[str, Any], bad: dict[str, Any], said: str
) -> None:
    assert evaluate(MetricsSnapshot(**fine), LIMITS)[name] is None
    if bad:
        alert = evaluate(MetricsSnapshot(**bad), LIMITS)[name]
        assert alert and said in alert.text


@pytest.mark.parametrize(("name", "bad"), [(name, bad) for name, _, bad, said in EDGES if "ALERT_" in said])
def test_a_threshold_of_zero_disables_its_alert(name: str, bad: dict[str, Any]) -> None:
    assert evaluate(MetricsSnapshot(**bad), LIMITS)[name]
    assert evaluate(MetricsSnapshot(**bad), OFF)[name] is None


def test_nothing_follows_from_what_was_not_seen() -> None:
    assert evaluate(MetricsSnapshot(), LIMITS) == {}
    assert set(evaluate(MetricsSnapshot(redis="away", memory=1), LIMITS)) == {"redis", "memory"}


def test_a_check_of_a_workload_cannot_take_the_place_of_a_figure() -> None:
    evaluated = evaluate(MetricsSnapshot(memory=2**40, checks={"memory": ""}), LIMITS)
    assert evaluated["memory"] is not None


def test_the_alerts_that_containers_share_are_those_of_the_queue() -> None:
    seen = evaluate(MetricsSnapshot(queues=[], ended={}, wrong_tokens=0, schedules={}), LIMITS)
    assert set(seen) == SHARED


def test_the_thresholds_are_the_settings_as_the_entrypoint_exports_them() -> None:
    names = (*THRESHOLDS, "disk_free_limit")
    exported = {name.upper(): str(getattr(Settings(), name)) for name in names}
    assert Thresholds.from_environment(exported) == LIMITS
