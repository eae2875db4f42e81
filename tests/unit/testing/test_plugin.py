"""The pytest plugin for applications: what a test of one writes, run as a user's pytest runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

APPLICATION = {
    "shop/__init__.py": 'workloads = ("shop.orders",)\n',
    "shop/orders.py": """
import dramatiq
from tandem import Settings, Workload, connect

@dramatiq.actor(max_retries=1, retry_delay=60_000)
def charge(order, fail=False):
    if fail:
        raise ValueError("no such order")
    connect(Settings.current()).set(f"orders:{order}", "charged")
    if order == 1:
        charge.send(2)

@dramatiq.actor
async def later(order):
    charge.send(order)

def blueprint(_settings):
    from flask import Blueprint
    routes = Blueprint("orders", __name__)
    @routes.post("/orders/<int:order>")
    def create(order):
        charge.send(order)
        return {"id": order}, 202
    return routes

workload = Workload(name="orders", blueprint=blueprint)
""",
    "conftest.py": 'pytest_plugins = ["tandem.testing"]\n',
}


def pytest_run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    for name, text in (APPLICATION | {"test_orders.py": test}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{folder}", "TANDEM_APP": "shop"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_a_test_of_an_application_needs_no_import_order_no_redis_and_no_docker(tmp_path: Path) -> None:
    ended = pytest_run(
        tmp_path,
        """
from shop.orders import charge, later
from tandem import Settings, connect

def test_it_is_accepted_and_charged(client, queue):
    assert client.post("/orders/7").status_code == 202
    assert queue.sent("charge") == [(7,)]
    assert queue.run_all() == ["completed"]
    assert connect(Settings.current(), decode=True).get("orders:7") == "charged"

def test_messages_that_an_actor_sends_are_handled_as_well(queue):
    charge.send(1)
    assert queue.run_all() == ["completed", "completed"]

def test_nothing_of_another_test_is_left(queue):
    assert queue.sent("charge") == []

def test_a_failure_is_retried_and_then_dead(queue):
    charge.send(5, fail=True)
    assert queue.sent("charge") == [(5, {"fail": True})]
    assert queue.run_all() == ["retried", "failed"]
    assert queue.failed("charge") == ["ValueError: no such order"]

def test_redis_is_away(client, queue, redis_away):
    with redis_away():
        assert client.post("/orders/7").status_code == 503
    assert client.post("/orders/7").status_code == 202

def test_an_async_actor(queue):
    later.send(3)
    assert queue.run_all() == ["completed", "completed"]

def test_the_clock_stands_still(clock):
    import time
    before = time.time()
    clock.forward(60)
    assert time.time() - before == 60
""",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "7 passed" in ended.stdout


@pytest.mark.slow
def test_an_actor_that_sends_itself_for_ever_ends_the_test_and_not_the_machine(tmp_path: Path) -> None:
    ended = pytest_run(
        tmp_path,
        """
import dramatiq, pytest
from tandem.testing import sent_messages

@dramatiq.actor
def again():
    again.send()

def test_it(queue, monkeypatch):
    monkeypatch.setattr(sent_messages, "MOST", 20)
    again.send()
    with pytest.raises(AssertionError, match="does an actor send itself"):
        queue.run_all()
""",
    )
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr


def test_a_test_on_the_image_says_which_variable_names_it(tmp_path: Path) -> None:
    ended = pytest_run(tmp_path, "def test_it(container):\n    container()\n")
    assert "no image under test: set TANDEM_TEST_IMAGE=NAME" in ended.stdout


@pytest.mark.slow
def test_middleware_is_booted_once_for_all_tests(tmp_path: Path) -> None:
    """Its threads can be started only once."""
    ended = pytest_run(
        tmp_path,
        """
import pytest
from shop.orders import charge

@pytest.mark.parametrize("order", [3, 4])
def test_it(queue, caplog, order):
    charge.send(order)
    assert queue.run_all() == ["completed"]
    assert [record.message for record in caplog.records if record.levelname == "CRITICAL"] == []
""",
    )
    assert ended.returncode == 0, ended.stdout
