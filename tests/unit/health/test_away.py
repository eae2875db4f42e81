"""A dependency that is away: no request is sent here, and the container is not restarted for it."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tandem.health import checks, docker_healthcheck
from tandem.health.checks import Away, Check, Result, Status


def away() -> str:
    raise Away("the database does not answer")


def test_it_is_worse_than_a_warning_and_better_than_a_failure() -> None:
    (found,) = checks.run([Check("database", away)])
    assert found == Result("database", Status.AWAY, "the database does not answer")
    warn, fail = Result("a", Status.WARN, ""), Result("b", Status.FAIL, "")
    assert checks.worst([warn, found]) == Status.AWAY
    assert checks.worst([found, fail]) == Status.FAIL


def test_readyz_answers_503(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "run", lambda _checks, **_: [Result("database", Status.AWAY, "away for now")])
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json() == {
        "status": "away",
        "checks": {"database": {"status": "away", "detail": "away for now"}},
    }


def test_the_container_stays_healthy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    results: list[Any] = [Result("database", Status.AWAY, "away for now")]
    monkeypatch.setattr(docker_healthcheck, "_is_starting", lambda: False)
    monkeypatch.setattr(docker_healthcheck, "_readiness", lambda: results)
    monkeypatch.setattr("tandem.health.container.container_checks", lambda _programs: [])
    with pytest.raises(SystemExit) as ended:
        docker_healthcheck.main()
    assert not ended.value.code
    assert capsys.readouterr().out == "away  database  away for now\n"
