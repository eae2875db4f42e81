"""A web process that has grown leaves; what gunicorn refuses by itself is a problem document."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from gunicorn.workers.base import Worker as BaseWorker

from tandem.config import settings
from tandem.config.settings import Settings
from tandem.config.values import MIB
from tandem.web import gunicorn_worker


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> gunicorn_worker.Worker:
    """A worker whose process has 200 MiB, without anything around it."""
    monkeypatch.setattr(gunicorn_worker, "resident_memory", lambda: 200 * MIB)
    monkeypatch.setattr(BaseWorker, "notify", lambda _self: None)
    grown = gunicorn_worker.Worker.__new__(gunicorn_worker.Worker)
    grown.alive = True
    grown.nr_conns = 0
    grown.log = logging.getLogger("gunicorn.error")
    return grown


@pytest.mark.parametrize(("limit", "stays"), [(201 * MIB, True), (200 * MIB, False), (0, True)])
def test_a_web_process_that_has_grown_to_its_limit_leaves(
    grown: gunicorn_worker.Worker, monkeypatch: pytest.MonkeyPatch, limit: int, stays: bool
) -> None:
    monkeypatch.setattr(settings, "current", lambda: Settings(web_memory_limit=limit))
    grown.notify()
    assert grown.alive is stays


def test_it_exits_only_after_its_requests_have_ended(
    grown: gunicorn_worker.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "current", lambda: Settings(web_memory_limit=MIB))
    grown.nr_conns = 1
    grown.notify()
    assert grown.alive
    grown.nr_conns = 0
    grown.notify()
    assert not grown.alive


def test_the_memory_is_looked_at_once_a_second(grown: gunicorn_worker.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[float] = []

    def check() -> int:
        checks.append(clock.now)
        return 0

    monkeypatch.setattr(gunicorn_worker, "resident_memory", check)
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(gunicorn_worker, "monotonic", lambda: clock.now)
    for clock.now in (1000.0, 1000.5, 1000.9, 1001.0):
        grown.notify()
    assert checks == [1000.0, 1001.0]


@pytest.mark.parametrize("status", [400, 403, 414, 417, 431, 500, 501])
def test_an_error_of_gunicorn_is_a_problem(status: int) -> None:
    head, _, body = gunicorn_worker._problem(status).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert problem["status"] == status and problem["detail"]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    assert b"Content-Length: %d" % len(body) in head
    assert b"default-src 'none'" in head
