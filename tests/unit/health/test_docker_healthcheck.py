"""What Docker is told of a container: the programs, the web's answer, and what /readyz says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tandem.health import container, docker_healthcheck
from tandem.health.checks import Fail
from tandem.process import supervisor
from tandem.web import peer

READY = {"status": "ok", "checks": {"redis": {"status": "ok", "detail": "answers"}, "model": {"status": "warn"}}}
WEB = {"group": "web", "name": "web", "statename": "RUNNING", "description": "pid 7", "stop": 0, "now": 100}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the web answers, by path."""
    (tmp_path / "web.conf").touch()
    (tmp_path / "web.sock").touch()
    monkeypatch.setattr(docker_healthcheck, "PROGRAMS", tmp_path)
    monkeypatch.setattr(docker_healthcheck, "WEB_SOCKET", tmp_path / "web.sock")
    monkeypatch.setattr(supervisor, "processes", lambda: [WEB])
    known: dict[str, Any] = {"/healthz": (200, b""), "/readyz": (200, json.dumps(READY).encode())}

    def ask(path: str, _timeout: float, *, token: str = "") -> tuple[int, bytes]:
        if isinstance(known[path], Exception):
            raise known[path]
        status, body = known[path]
        return status, body

    monkeypatch.setattr(container, "ask_web", ask)
    return known


def checked(capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit code and output."""
    with pytest.raises(SystemExit) as end:
        docker_healthcheck.main()
    return end.value.code, capsys.readouterr().out


def test_a_container_is_healthy_while_its_work_only_waits(
    answers: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = checked(capsys)
    assert not code
    assert "ok    web  RUNNING pid 7" in output and "ok    redis  answers" in output and "warn  model" in output


@pytest.mark.parametrize(
    ("path", "answer", "line"),
    [
        ("/healthz", (500, b""), "fail  web answers  500 at /healthz"),
        ("/healthz", Fail("no answer at http://127.0.0.1:8000/healthz: timed out"), "fail  web answers  no answer at"),
        ("/readyz", (503, b'{"checks": {"redis": {"status": "fail", "detail": "away"}}}'), "fail  redis  away"),
        ("/readyz", (401, b'{"detail": "a token"}'), "fail  readyz  401 without the checks"),
        ("/readyz", (200, b"nonsense"), "fail  readyz  200 without the checks"),
        ("/readyz", Fail("no answer at all"), "fail  readyz  no answer at all"),
    ],
)
def test_what_fails_is_named(
    answers: dict[str, Any], capsys: pytest.CaptureFixture[str], path: str, answer: Any, line: str
) -> None:
    answers[path] = answer
    code, output = checked(capsys)
    assert code and line in output


def test_a_new_container_whose_web_does_not_listen_yet_is_starting(
    answers: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    docker_healthcheck.WEB_SOCKET.unlink()
    assert checked(capsys) == (1, "fail  web  is starting\n")
    long_ago = time.time() - docker_healthcheck.START_SECONDS - 1
    os.utime(docker_healthcheck.PROGRAMS, (long_ago, long_ago))
    assert "web  RUNNING pid 7" in checked(capsys)[1]


def test_a_container_whose_programs_are_not_laid_out_is_starting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docker_healthcheck, "PROGRAMS", tmp_path / "nothing")
    assert checked(capsys) == (1, "fail  web  is starting\n")


def test_it_looks_where_gunicorn_listens() -> None:
    assert str(docker_healthcheck.WEB_SOCKET) == peer.SOCKET


def test_it_imports_nothing_but_the_standard_library() -> None:
    code = "import sys, tandem.health.docker_healthcheck, tandem.health.container; "
    code += "print([n for n in sys.modules if n.split('.')[0] in "
    code += "('redis', 'pydantic', 'dramatiq', 'click', 'httpx', 'flask', 'certifi')])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert seen.stdout == "[]\n"
