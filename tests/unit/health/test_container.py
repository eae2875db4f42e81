"""What `queue health` says of supervisor's processes."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tandem.health import container
from tandem.health.checks import Check, Result, Status, Warn, run
from tandem.process import supervisor


def look(monkeypatch: pytest.MonkeyPatch, *processes: dict[str, Any]) -> list[Result]:
    monkeypatch.setattr(supervisor, "processes", lambda: list(processes))
    return [result for result in run(container.container_checks(("redis", "worker", "init"))) if result.name == "init"]


def process(state: str, exit_status: int) -> dict[str, Any]:
    known = {"group": "init", "name": "init", "description": "Nov 22 09:05 AM", "pid": 0, "stop": 1, "now": 100}
    return known | {"statename": state, "exitstatus": exit_status}


def test_a_program_that_has_done_its_work_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, process("EXITED", 0))
    assert seen == [Result("init", Status.OK, "EXITED Nov 22 09:05 AM, has done its work")]


@pytest.mark.parametrize(("state", "exit_status"), [("EXITED", 1), ("FATAL", 0), ("BACKOFF", 0)])
def test_one_that_could_not_is_not(monkeypatch: pytest.MonkeyPatch, state: str, exit_status: int) -> None:
    (seen,) = look(monkeypatch, process(state, exit_status))
    assert seen.status is Status.FAIL


def test_one_that_is_not_known_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    (seen,) = look(monkeypatch)
    assert (seen.status, seen.detail) == (
        Status.FAIL,
        "supervisor does not know this program: its configuration is missing",
    )


def test_an_optional_dependency_only_warns_when_it_hangs() -> None:
    over = threading.Event()
    try:
        (seen,) = run([Check("upstream", lambda: str(over.wait(30)), Warn("slow; work waits"))], timeout=0.05)
        assert seen == Result("upstream", Status.WARN, "slow; work waits")
    finally:
        over.set()


def test_a_check_that_hangs_fails_by_itself_and_is_not_begun_again() -> None:
    over, begun = threading.Event(), []

    def hang() -> str:
        begun.append(1)
        over.wait(30)
        return "late"

    checks = [Check("database", hang), Check("redis", lambda: "answers"), Check("other", lambda: str(over.wait(30)))]
    began = time.monotonic()
    try:
        for _ in range(3):
            failed, well, other = run(checks, timeout=0.2)
            assert failed == Result("database", Status.FAIL, "did not answer within 0.2 s")
            assert well == Result("redis", Status.OK, "answers")
            assert other.status is Status.FAIL
        assert len(begun) == 1
        assert time.monotonic() - began < 5
    finally:
        over.set()
