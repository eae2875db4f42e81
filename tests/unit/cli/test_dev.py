"""`queue dev`: web and actors run here without Docker, saved code runs, and `breakpoint()` stops in the terminal."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow

WORKLOAD = """
import dramatiq
from flask import Blueprint
from tandem import Settings, Workload, connect

VERSION = "{version}"

@dramatiq.actor
def note():
    {before}
    connect(Settings.current(), decode=True).set("noted", VERSION)

routes = Blueprint("version", __name__)

@routes.get("/version")
def version():
    return {{"web": VERSION, "actor": connect(Settings.current(), decode=True).get("noted")}}

@routes.post("/messages")
def send():
    note.send()
    return {{}}, 202

workload = Workload(name="versions", blueprint=lambda _: routes)
"""


class Dev:
    """A `queue dev` in a terminal of its own, in a folder with an application."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "mine").mkdir()
        (folder / "mine" / "__init__.py").write_text('workloads = ("mine.versions",)\n')
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.output = ""

    def save(self, version: str, *, before: str = "pass", broken: str = "") -> None:
        (self.folder / "mine" / "versions.py").write_text(broken + WORKLOAD.format(version=version, before=before))

    def start(self) -> None:
        self._terminal, inner = pty.openpty()
        os.set_blocking(self._terminal, False)
        command = [sys.executable, "-m", "tandem.cli.main", "dev", "--sync", "--port", str(self.port)]
        environment = {**os.environ, "TANDEM_APP": "mine", "RATE_LIMIT": "0", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
        )
        os.close(inner)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def read(self) -> str:
        with suppress(BlockingIOError, OSError):
            while part := os.read(self._terminal, 65_536):
                self.output += part.decode(errors="replace")
        return self.output

    def ask(self, method: str, path: str) -> dict[str, str]:
        request = Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urlopen(request, timeout=20) as answer:  # noqa: S310
            found: dict[str, str] = json.load(answer)
            return found

    def versions(self) -> dict[str, str]:
        return self.found("/version")

    def accounts(self) -> dict[str, Any]:
        return self.found("/accounts")

    def found(self, path: str) -> dict[str, Any]:
        try:
            return self.ask("GET", path)
        except (URLError, ConnectionError):  # it starts, or starts again
            return {}

    def await_true(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.read()}"
            time.sleep(0.05)

    def stop(self) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(20)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    one = Dev(tmp_path)
    yield one
    if one.process.poll() is None:
        os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait(20)


def test_saved_code_runs_and_broken_code_stops_nothing(dev: Dev) -> None:
    dev.save("one")
    dev.start()
    dev.await_true(lambda: dev.versions().get("web") == "one", "the first version")
    dev.save("two")
    dev.await_true(lambda: dev.versions().get("web") == "two", "the second version")
    dev.ask("POST", "/messages")
    assert dev.versions() == {"web": "two", "actor": "two"}

    dev.save("three", broken="def oh(:\n")
    dev.await_true(lambda: "the old code goes on" in dev.read(), "the error")
    assert "versions.py:1: SyntaxError" in dev.output
    assert dev.versions()["web"] == "two"
    # Errors of all kinds: none may run anything of the parent in its fork, or end it.
    for broken, reason in (
        ("import sys; sys.exit(3)\n", "versions.py:1: SystemExit: 3"),
        ("def fails(_):\n    return 1 / 0\n", "ZeroDivisionError"),
    ):
        workload = "" if "exit" in broken else "\nworkload = Workload(name='versions', blueprint=fails)\n"
        (dev.folder / "mine" / "versions.py").write_text(
            broken + WORKLOAD.format(version="x", before="pass") + workload
        )
        dev.await_true(lambda reason=reason: reason in dev.read(), reason)  # type: ignore[misc]
        assert dev.versions()["web"] == "two"
    dev.save("four")
    dev.await_true(lambda: dev.versions().get("web") == "four", "the mended version")
    assert dev.stop() == 0
    assert "Traceback" not in dev.read()


def test_breakpoint_in_an_actor_stops_in_the_terminal(dev: Dev) -> None:
    dev.save("one", before="breakpoint()")
    dev.start()
    dev.await_true(lambda: dev.versions().get("web") == "one", "the first version")
    sender = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from urllib.request import *; urlopen(Request('http://127.0.0.1:{dev.port}/messages', method='POST'))",
        ]
    )
    dev.await_true(lambda: "(Pdb)" in dev.read(), "the prompt of the debugger")
    dev.type("p VERSION\n")
    dev.await_true(lambda: "'one'" in dev.read(), "the value of a variable")
    dev.type("c\n")
    assert sender.wait(20) == 0
    assert dev.versions()["actor"] == "one"


def test_a_port_that_is_in_use_is_one_line_with_another_one(dev: Dev) -> None:
    dev.save("one")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", dev.port))
        taken.listen()
        dev.start()
        assert dev.process.wait(30) == 1
    assert f"port {dev.port} cannot be used: Address already in use; try --port {dev.port + 1}" in dev.read()


def test_code_that_cannot_run_is_one_line_at_the_start(dev: Dev) -> None:
    dev.save("one", broken="import nobody_has\n")
    dev.start()
    assert dev.process.wait(30) == 78
    assert "No module named 'nobody_has'" in dev.read()


def test_a_database_is_made_and_follows_migrations_that_are_saved(dev: Dev, tmp_path: Path) -> None:
    bank = ROOT / "tests/unit/sql/bank"
    shutil.copy(bank / "accounts.py", tmp_path / "mine/versions.py")
    shutil.copytree(bank / "migrations", tmp_path / "mine/migrations")
    dev.start()
    dev.await_true(lambda: "watching" in dev.read(), "the start")
    assert f"upgraded the tables of tandem, accounts in sqlite:///{tmp_path}/dev.db" in dev.output
    dev.await_true(lambda: dev.accounts() == {"names": []}, "the table")
    dev.ask("POST", "/accounts/Ada")
    assert dev.accounts() == {"names": ["Ada"]}

    first = (tmp_path / "mine/migrations/0001_accounts.py").read_text()
    second = first.replace('"0001"', '"0002"').replace("= None", '= "0001"', 1).partition("def upgrade")[0]
    upgrade = "def upgrade() -> None:\n    op.execute(\"INSERT INTO accounts (name) VALUES ('Grace')\")\n"
    (tmp_path / "mine/migrations/0002_grace.py").write_text(second + upgrade)
    dev.await_true(lambda: dev.accounts() == {"names": ["Ada", "Grace"]}, "the migration")

    (tmp_path / "mine/migrations/0003_broken.py").write_text(
        second.replace("0002", "0003").replace("0001", "0002") + upgrade.replace("accounts", "nowhere")
    )
    dev.await_true(lambda: "the old code goes on" in dev.read(), "the error")
    assert "up to date failed: no such table: nowhere" in dev.output
    assert dev.stop() == 0
