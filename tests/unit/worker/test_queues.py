"""Which queues a worker process consumes, by its settings and its number."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dramatiq.brokers.redis import RedisBroker
from fakeredis import FakeRedis

from tandem import logs, registry, runtime
from tandem.cli import check
from tandem.cli import main as cli
from tandem.config import settings
from tandem.config.values import MIB
from tandem.process import folders, programs, start_steps
from tandem.schedules import definitions
from tandem.web import proxy_configuration
from tandem.worker import main
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a start writes its files, instead of /run/tandem; this process has the size of a worker."""
    run = tmp_path / "run"
    monkeypatch.setattr(proxy_configuration, "TEMPLATE", ROOT / "docker/nginx.conf")
    monkeypatch.setattr(proxy_configuration, "CONFIGURATION", run / "nginx.conf")
    monkeypatch.setattr(programs, "write", partial(programs.write, folder=run / "programs"))
    monkeypatch.setattr(definitions, "write", partial(definitions.write, file=run / "schedules.json"))
    monkeypatch.setattr(start_steps, "UPGRADE", run / "upgrade-database")
    monkeypatch.setattr(check, "resident_memory", lambda: 50 * MIB)
    return run


@pytest.fixture
def consumed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The queues of each worker that was to run; there are actors on two queues."""
    consumed: list[tuple[str, ...]] = []

    def run(_broker: Any, *, queues: tuple[str, ...], **_options: Any) -> None:
        consumed.append(queues)

    broker = RedisBroker(client=FakeRedis())
    broker.declare_queue("mail")
    broker.declare_queue("urgent")
    monkeypatch.setattr(runtime, "configure", lambda _settings: broker)
    monkeypatch.setattr(registry, "load_and_verify", lambda _settings: ())
    monkeypatch.setattr(folders, "problems", lambda _programs: [])
    monkeypatch.setattr(main, "consume", run)
    return consumed


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> object:
    """Run `queue` with these variables; return its exit code."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["queue", *arguments])
    settings.reset()
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code
    finally:
        settings.reset()


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
    assert first == "WORKER_QUEUES=mail,nope is invalid: expected names from mail, urgent"
    assert second == "WORKER_DEDICATED=mail=1,neither=2 is invalid: expected names from mail, urgent"


def test_supervisor_starts_as_many_processes_as_all_settings_say(
    consumed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Path
) -> None:
    start(monkeypatch, "config", "--supervisor", WORKERS="2", WORKER_DEDICATED="urgent=3", CLIENT_REQUESTS="17")

    written, complaints = capsys.readouterr()
    assert "WORKER_PROCESSES=5\n" in written, complaints
    assert int(re.search(r"^PROXY_FILES=(\d+)$", written, re.MULTILINE)[1]) > 5000  # type: ignore[index]
    assert "limit_conn requests 17;" in (run / "nginx.conf").read_text()
