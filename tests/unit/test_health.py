"""What `queue health` says of supervisor's processes."""

from __future__ import annotations

from typing import Any

import pytest

from app.operations import health, supervisor
from app.queueing.checks import Result, Status, run
from app.settings import Settings


def look(monkeypatch: pytest.MonkeyPatch, *processes: dict[str, Any]) -> list[Result]:
    monkeypatch.setattr(supervisor, "processes", lambda: list(processes))
    settings = Settings(programs=("redis", "worker"))
    return [result for result in run(health.container_checks(settings)) if result.name == "prepare"]


def process(state: str, exit_status: int) -> dict[str, Any]:
    known = {"group": "prepare", "name": "prepare", "description": "Nov 22 09:05 AM", "pid": 0, "stop": 1, "now": 100}
    return known | {"statename": state, "exitstatus": exit_status}


def test_a_program_that_has_done_its_work_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, process("EXITED", 0))
    assert seen == [Result("prepare", Status.OK, "EXITED Nov 22 09:05 AM, has done its work")]


@pytest.mark.parametrize(("state", "exit_status"), [("EXITED", 1), ("FATAL", 0), ("BACKOFF", 0)])
def test_one_that_could_not_is_not(monkeypatch: pytest.MonkeyPatch, state: str, exit_status: int) -> None:
    (seen,) = look(monkeypatch, process(state, exit_status))
    assert seen.status is Status.FAIL


def test_one_that_is_not_known_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    (seen,) = look(monkeypatch)
    assert (seen.status, seen.detail) == (
        Status.FAIL,
        "supervisor does not know this program: its configuration is gone",
    )
