"""`queue doctor`: each place that a newer version wants changed, with file and line, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tandem.cli.doctor import doctor

GOOD = """
import dramatiq
from tandem import Snooze, Workload, job
from tandem.sql import session
workload = Workload(name='shop')
"""


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Result:
    package = folder / "a_shop"
    package.mkdir()
    for name, text in {"__init__": "workloads = ()\n", **files}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setenv("TANDEM_APP", "a_shop")
    monkeypatch.syspath_prepend(str(folder))
    return CliRunner().invoke(doctor)


def test_a_changed_file_of_the_platform_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site-packages"
    record = installed / "tandem-0.1.0.dist-info" / "RECORD"
    record.parent.mkdir(parents=True)
    (record.parent / "METADATA").write_text("Metadata-Version: 2.4\nName: tandem\nVersion: 0.1.0\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"as installed").digest()).rstrip(b"=").decode()
    record.write_text("".join(f"tandem/{name}.py,sha256={digest},12\n" for name in ("same", "changed", "gone")))
    (installed / "tandem").mkdir()
    (installed / "tandem" / "same.py").write_text("as installed")
    (installed / "tandem" / "changed.py").write_text("as patched")
    monkeypatch.setattr("tandem.cli.doctor.distribution", lambda _name: Distribution.at(record.parent))

    ended = run(tmp_path, monkeypatch, orders=GOOD)

    assert ended.exit_code == 1
    assert [line.partition(" ")[0] for line in ended.output.splitlines()[:-1]] == [
        str(installed / "tandem/changed.py"),
        str(installed / "tandem/gone.py"),
    ]


def test_an_application_of_today_has_nothing_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(tmp_path, monkeypatch, orders=GOOD)
    assert (ended.exit_code, ended.output.startswith("nothing has to change for Tandem 0.1.0; next: queue check")) == (
        0,
        True,
    )


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("from tandem import Continue\n", "orders.py:1: tandem has no Continue: it is Snooze"),
        ("\nfrom tandem import Nothing\n", "orders.py:2: tandem has no Nothing"),
        ("from tandem.sql.engine import engine\n", "tandem.sql.engine is private and may change in any version"),
        ("from tandem.broker.broker import Broker\n", "tandem.broker.broker is private and may change in any version"),
        ("from app.queueing.broker import installed\n", "app.queueing.broker has moved: from tandem import get_broker"),
        ("import tandem.runtime\n", "orders.py:1: tandem.runtime is private"),
        ("def oh(:\n", "orders.py:1: it cannot be read: "),
        ("Workload(name='a', at_once=f)\n", "orders.py:1: Workload(at_once=…) is Workload(max_concurrency=…)"),
        ("get_broker().submit(m)\n", "orders.py:1: Broker.submit is Broker.enqueue_once"),
    ],
)
def test_what_was_renamed_is_named_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, line: str
) -> None:
    ended = run(tmp_path, monkeypatch, orders=code)
    assert ended.exit_code == 1
    assert line in ended.output
    assert ended.output.endswith("next: make 1 change, then queue check\n")


def test_the_old_registry_and_what_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(tmp_path, monkeypatch, workloads="def load():\n    return ()\n", orders="def oh(:\n")
    assert "a_shop/workloads.py is not read any more: name the modules in" in ended.output
    assert "orders.py:1: it cannot be read: " in ended.output


def test_an_executor_of_a_pool_is_no_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, monkeypatch, orders="executor.submit(f)\npool.submit(f)\n").exit_code == 0
