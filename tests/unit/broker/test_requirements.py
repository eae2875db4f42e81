"""What a Redis must be, and what each check and each worker says of one that is not."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
import redis

from tandem.broker import requirements
from tandem.broker.requirements import Fault, Unusable, faults, require_usable
from tandem.config.settings import Settings
from tandem.health import checks
from tandem.health.checks import Status
from tandem.health.queue_checks import queue_checks
from tandem.worker import main
from tests.unit.harness import broker_on

GOOD = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "cluster_enabled": 0,
    "role": "master",
    "loading": 0,
    "maxmemory": 0,
    "maxmemory_human": "0B",
    "used_memory": 1,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
}


class Told:
    """A client of which only INFO is asked."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self._answer = answer

    def ping(self) -> bool:
        return True

    def info(self, *_sections: str) -> dict[str, Any]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def seen(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | Exception) -> dict[str, tuple[Status, str]]:
    monkeypatch.setattr("tandem.health.queue_checks.connect", lambda _settings: Told(answer))
    settings = Settings.model_validate({"redis_url": "redis://elsewhere"})
    return {result.name: (result.status, result.detail) for result in checks.run(queue_checks(settings))}


def test_a_good_one_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(monkeypatch, GOOD)
    assert {status for status, _ in found.values()} == {Status.OK}
    assert found["redis setup"][1] == "version 7.2.4, noeviction, append-only file"


@pytest.mark.parametrize(
    ("fault", "status", "sentence"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, Status.FAIL, "drops accepted messages.*allkeys-lru.*expected noeviction"),
        ({"maxmemory_policy": "volatile-ttl"}, Status.WARN, "drops results before they expire.*volatile-ttl"),
        ({"aof_enabled": 0}, Status.WARN, "keeps no append-only file.*expected appendonly yes"),
        ({"redis_version": "6.2.14"}, Status.FAIL, "Redis is version 6.2.14: expected 7.0 or newer"),
        ({"redis_mode": "cluster", "cluster_enabled": 1}, Status.FAIL, "cluster mode, in which no message can be sent"),
    ],
)
def test_each_fault_has_its_sentence(
    monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], status: Status, sentence: str
) -> None:
    found = seen(monkeypatch, {**GOOD, **fault})
    assert found["redis setup"][0] is status
    assert re.search(sentence, found["redis setup"][1])


def test_a_nearly_full_memory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"maxmemory": 100, "maxmemory_human": "100B"}
    assert seen(monkeypatch, {**GOOD, **used, "used_memory": 79})["queue"] == (Status.OK, "accepts messages")
    status, told = seen(monkeypatch, {**GOOD, **used, "used_memory": 81})["queue"]
    assert status is Status.WARN
    assert told.startswith("Redis's memory is 81% full (100B)")


def test_several_faults_are_reported_at_once_with_the_worst_status(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(monkeypatch, {**GOOD, "aof_enabled": 0, "redis_version": "6.0.1"})
    assert found["redis setup"][0] is Status.FAIL
    assert found["redis setup"][1].count("expected") == 2


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"role": "slave"}, "messages cannot be stored: Redis is a slave, which is read-only"),
        ({"aof_last_write_status": "err"}, "messages cannot be stored: Redis could not write its append-only file"),
    ],
)
def test_one_that_takes_no_writes_fails(monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], sentence: str) -> None:
    status, detail = seen(monkeypatch, {**GOOD, **fault})["queue"]
    assert status is Status.FAIL
    assert sentence in detail


def test_without_the_right_to_info_the_check_warns_and_names_what_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = redis.exceptions.NoPermissionError("this user has no permissions to run the 'info' command")
    found = seen(monkeypatch, refused)
    assert found["redis"] == (Status.OK, "answers")
    for name in ("queue", "redis setup"):
        assert found[name][0] is Status.WARN
        assert "eviction and append-only file are unknown, because INFO was refused" in found[name][1]


def test_fields_that_info_lacks_are_not_checked() -> None:
    assert faults({}) == []
    assert faults({"redis_version": "unstable"}) == []


def test_the_sentences_are_one_line_each() -> None:
    bad = {"maxmemory_policy": "allkeys-lfu", "aof_enabled": 0, "redis_version": "5", "redis_mode": "cluster"}
    found = faults(bad)
    assert [fault.fatal for fault in found] == [True, True, True, False]
    assert all(isinstance(fault, Fault) and "\n" not in fault.sentence for fault in found)


def test_a_worker_says_once_why_it_cannot_work_and_goes_on_when_it_can(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([{"redis_mode": "cluster"}, {"redis_mode": "cluster"}, GOOD])
    monkeypatch.setattr(requirements, "require_usable", lambda _client: require_usable(Told(next(answers))))  # type: ignore[arg-type]
    monkeypatch.setattr(main, "recover", lambda _broker: [])
    broker = broker_on(redis_client)

    with caplog.at_level(logging.ERROR):
        assert main._prepare(broker, main.Stop(), ("mail",)) == ([], None)

    assert [record.message for record in caplog.records if "cluster mode" in record.message] == [
        "no message is handled: Redis is in cluster mode, in which no message can be sent: expected a single Redis "
        "(cluster-enabled no) or one that Sentinels monitor"
    ]


def test_a_worker_without_the_right_to_info_works() -> None:
    require_usable(Told(redis.exceptions.NoPermissionError("no")))  # type: ignore[arg-type]
    with pytest.raises(Unusable, match="version 6"):
        require_usable(Told({"redis_version": "6.2"}))  # type: ignore[arg-type]
