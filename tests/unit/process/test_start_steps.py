"""Start steps run in their order, one container at a time; one that fails ends the start with its last line."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeRedis

from tandem.broker import connection
from tandem.config.settings import Settings
from tandem.process import start_steps
from tandem.process.start_steps import StepFailed


def step(folder: Path, name: str, script: str, *, mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def ran(path: Path, seconds: float = 20, *, json: bool = False) -> str:
    out = io.BytesIO()
    start_steps.run([path], seconds, out, name=path.name, json=json)
    return out.getvalue().decode()


def test_steps_run_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("20-b", "10-a", "20-a"):
        step(tmp_path, name, "true")
    assert [path.name for path in start_steps.steps(tmp_path)] == ["10-a", "20-a", "20-b"]


@pytest.mark.parametrize(
    ("name", "mode", "error"),
    [
        ("migrate", 0o755, "is no start step: expected a name such as 10-migrate; rename or remove it"),
        ("10-migrate~", 0o755, "is no start step"),
        ("10-migrate", 0o644, "is not executable: type chmod +x 10-migrate where the image is built"),
    ],
)
def test_a_file_that_is_no_step_is_refused(tmp_path: Path, name: str, mode: int, error: str) -> None:
    step(tmp_path, name, "true", mode=mode)
    with pytest.raises(StepFailed, match=error.replace("+", r"\+")):
        start_steps.steps(tmp_path)


def test_the_output_of_a_step_has_its_name(tmp_path: Path) -> None:
    path = step(tmp_path, "10-migrate", "echo one; echo two >&2")
    assert ran(path) == "10-migrate | begins\n10-migrate | one\n10-migrate | two\n"
    assert '"process": "10-migrate", "message": "two"}' in ran(path, json=True)


def test_a_step_that_fails_is_told_by_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as raised:
        ran(step(tmp_path, "10-migrate", "echo begun; echo 'no such table'; echo; exit 3"))
    assert str(raised.value) == "the start step 10-migrate failed with code 3: no such table"
    with pytest.raises(StepFailed, match="failed with code 1: it has printed nothing"):
        ran(step(tmp_path, "10-migrate", "exit 1"))


def test_a_step_that_cannot_be_started_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "10-migrate"
    path.write_text("alembic upgrade head\n")
    path.chmod(0o755)
    with pytest.raises(StepFailed, match=r"10-migrate cannot be started: Exec format error; a script needs"):
        ran(path)


def test_a_step_that_hangs_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StepFailed, match=r"did not end within 0\.2 s"):
        ran(step(tmp_path, "10-migrate", "sleep 600 & sleep 600"), 0.2)
    assert time.monotonic() - began < 10


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a container with an external Redis, which all containers of the test share."""
    client = FakeRedis()
    monkeypatch.setattr(connection, "connect", lambda _settings: client)
    return Settings(redis_url="redis://shared:6379", start_step_timeout=20)


def test_containers_on_one_redis_run_their_steps_one_after_the_other(tmp_path: Path, shared: Settings) -> None:
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def hold(*_: Any) -> None:
        with lock:
            inside.append(1)
            most.append(len(inside))
        time.sleep(0.05)
        with lock:
            inside.pop()

    def run() -> None:
        with start_steps.lease(shared):
            hold()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1, 1, 1, 1]


def test_a_container_that_waits_too_long_for_the_others_says_so(shared: Settings) -> None:
    impatient = shared.model_copy(update={"start_step_timeout": 1})
    with (
        start_steps.lease(shared),
        pytest.raises(StepFailed, match=r"did not begin within 1 s .* another container runs"),
        start_steps.lease(impatient),
    ):
        pytest.fail("two containers at a time")
