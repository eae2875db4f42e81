"""RELOAD=1: code that is saved runs in web and workers, and code that cannot run stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]

WORKLOAD = """
from datetime import timedelta

import dramatiq
from flask import Blueprint
from tandem import Schedule, Settings, Workload, connect

VERSION = "{version}"

@dramatiq.actor
def note():
    connect(Settings.current()).rpush("noted", VERSION)

routes = Blueprint("version", __name__)

@routes.get("/version")
def version():
    return {{"version": VERSION}}

@routes.post("/messages")
def send():
    note.send()
    return {{}}, 202

@dramatiq.actor
def tick():
    connect(Settings.current()).set("ticked", VERSION)

schedules = [Schedule(every=timedelta(seconds=1), actor=tick)] if VERSION == "three" else []
workload = Workload(name="versions", blueprint=lambda _: routes, schedules=schedules)
"""


def save(folder: Path, text: str) -> None:
    (folder / "versions.py").write_text(text)


def test_saved_code_runs_in_web_and_workers_and_broken_code_stops_nothing(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "__init__.py").write_text('workloads = ("mine.versions",)\n')
    save(tmp_path, WORKLOAD.format(version="one"))
    options = {"volumes": {str(tmp_path): "/srv/tandem/mine"}}
    tandem = start(options=options, RELOAD="1", TANDEM_APP="mine", WORKERS="2").await_healthy()

    def runs(version: str) -> bool:
        assert tandem.request("POST", "/messages").status_code == 202
        await_true(lambda: tandem.redis("LLEN", "noted").strip() != "0", seconds=20, what="the message was handled")
        noted = tandem.redis("LPOP", "noted").strip()
        return (tandem.request("GET", "/version").json()["version"], noted) == (version, version)

    assert runs("one")
    save(tmp_path, WORKLOAD.format(version="two"))
    await_true(lambda: runs("two"), seconds=20, what="web and workers have the new code")

    for broken, error in (
        ("def oh(:\n", "SyntaxError"),
        ("import nobody_has\n", "No module named 'nobody_has'"),
    ):
        save(tmp_path, broken + WORKLOAD.format(version="broken"))
        await_true(lambda error=error: error in tandem.logs(), seconds=10, what="the error is told")  # type: ignore[misc]
        await_true(lambda: "the old code goes on" in tandem.logs(), seconds=10, what="it is said what happens")
        assert runs("two")
    save(tmp_path, WORKLOAD.format(version="three"))
    await_true(lambda: runs("three"), seconds=20, what="the mended code runs")
    await_true(lambda: tandem.redis("GET", "ticked").strip() == "three", seconds=20, what="its schedule is taken over")
    assert tandem.redis("HLEN", "dramatiq:default.msgs").strip() == "0"
