"""Which queues a worker process consumes, by its settings and its number."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from dramatiq.brokers.redis import RedisBroker
from fakeredis import FakeRedis

from app import cli, logs, settings, workloads
from app.queueing import broker as brokers
from app.queueing import consume


@pytest.fixture
def consumed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The queues of each worker that was to run; there are actors on two queues."""
    consumed: list[tuple[str, ...]] = []

    def run(_broker: Any, *, queues: tuple[str, ...], **_options: Any) -> None:
        consumed.append(queues)

    broker = RedisBroker(client=FakeRedis())
    broker.declare_queue("mail")
    broker.declare_queue("urgent")
    monkeypatch.setattr(brokers, "install", lambda _settings: broker)
    monkeypatch.setattr(workloads, "load", tuple)
    monkeypatch.setattr(consume, "consume", run)
    return consumed


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> object:
    """Runs `queue` with these variables; gives its exit code."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["queue", *arguments])
    settings.current.cache_clear()
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code
    finally:
        settings.current.cache_clear()


@pytest.mark.parametrize(
    ("process", "number"), [("worker_00", 0), ("worker_07", 7), ("worker_12", 12), ("queue", 0), ("web", 0)]
)
def test_a_worker_knows_its_number_by_its_name(monkeypatch: pytest.MonkeyPatch, process: str, number: int) -> None:
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", process)

    assert logs.worker_number() == number


@pytest.mark.parametrize(("process", "queues"), [("worker_01", ()), ("worker_02", ("urgent",))])
def test_a_dedicated_worker_consumes_its_queue_only(
    consumed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, process: str, queues: tuple[str, ...]
) -> None:
    start(monkeypatch, "consume", SUPERVISOR_PROCESS_NAME=process, WORKER_DEDICATED="urgent=1")

    assert consumed == [queues]


def test_queues_that_are_named_come_before_those_of_the_settings(
    consumed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, "consume", "mail", WORKER_QUEUES="other", WORKER_DEDICATED="other=1")

    assert consumed == [("mail",)]


def test_the_start_refuses_queues_that_no_actor_uses(
    consumed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"WORKER_QUEUES": "mail,nope", "WORKER_DEDICATED": "mail=1,neither=2"}

    assert start(monkeypatch, "config", "--supervisor", **environment) == cli.EXIT_CONFIG

    first, second = capsys.readouterr().err.splitlines()
    assert first == "WORKER_QUEUES=mail,nope cannot be used: allowed are names out of mail, urgent"
    assert second == "WORKER_DEDICATED=mail=1,neither=2 cannot be used: allowed are names out of mail, urgent"


def test_supervisor_starts_as_many_processes_as_all_settings_say(
    consumed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start(monkeypatch, "config", "--supervisor", WORKERS="2", WORKER_DEDICATED="urgent=3")

    assert "WORKER_PROCESSES=5\n" in capsys.readouterr().out
