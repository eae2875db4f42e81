"""The folders of a container: writable, and locked as long as their holder lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tandem.process import folders
from tests.paths import ROOT

HOLD = """
import pathlib, sys
from tandem.process import folders
folders.DATA = pathlib.Path(sys.argv[1])
folders._REMEDIES = {folders.DATA: ""}
held = folders.lock(["redis"])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that a container needs here."""
    monkeypatch.setattr(folders, "DATA", tmp_path)
    monkeypatch.setattr(folders, "_REMEDIES", {tmp_path: "chown it"})
    return tmp_path


def test_a_folder_that_can_be_written_to_is_fine_and_stays_as_it_is(data: Path) -> None:
    assert folders.problems(["redis"]) == []
    assert [path.name for path in data.iterdir()] == [".lock"]


def test_a_folder_that_is_not_there_is_named_with_its_remedy(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_REMEDIES", {data / "gone": "add it"})
    (line,) = folders.problems(["redis"])
    assert line == f"{data / 'gone'} is not writable for user {os.getuid()}: No such file or directory; add it"


def test_a_lock_is_refused_while_its_holder_lives_and_free_after_it_was_killed(data: Path) -> None:
    held = folders.lock(["redis"])
    (line,) = folders.problems(["redis"])
    assert line.startswith(f"another container uses {data}, ")
    with pytest.raises(folders.InUse):
        folders.lock(["redis"])

    os.close(held[0])

    assert folders.problems(["redis"]) == []


def test_a_killed_holder_leaves_no_lock(data: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    assert folders.problems(["redis"])

    holder.kill()
    holder.wait(timeout=10)

    assert folders.problems(["redis"]) == []
