"""The check of the workloads: the result that supervisord gets from the checking process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tandem.process import start_check


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the verdict."""
    path = tmp_path / "run" / "start-check"
    monkeypatch.setattr(start_check, "_FILE", path)
    return path


def holder(file: Path, *words: bytes) -> tuple[int, int]:
    """Start a process that checks until it receives a byte, writes the result and exits; return its id and the pipe."""
    file.parent.mkdir(exist_ok=True)
    reading, writing = os.pipe()
    locked, ready_pipe = os.pipe()
    if pid := os.fork():
        os.close(ready_pipe)
        os.read(locked, 1)
        return pid, writing
    os.close(writing)
    if start_check.fork():
        os.write(ready_pipe, b".")
        os.read(reading, 1)
        for word in words:
            file.write_bytes(word)
    os._exit(0)


@pytest.mark.parametrize(("word", "code"), [(b"passed", 0), (b"refused", 78)])
def test_the_verdict_is_awaited(file: Path, word: bytes, code: int) -> None:
    pid, writing = holder(file, word)
    os.waitpid(pid, 0)  # the process that continues as supervisord
    os.close(writing)
    assert start_check.await_result() == (code, "")


def test_a_check_that_ends_without_a_verdict_is_no_pass(file: Path) -> None:
    pid, writing = holder(file)
    os.waitpid(pid, 0)
    os.close(writing)
    code, said = start_check.await_result()
    assert code == 70 and "killed" in said


def test_a_check_that_hangs_ends_the_start(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_check, "SECONDS", 1)
    before = signal.getsignal(signal.SIGALRM)
    pid, writing = holder(file, b"passed")
    os.waitpid(pid, 0)
    code, said = start_check.await_result()
    os.close(writing)
    assert code == 78 and "did not load within 1 s" in said
    assert signal.getsignal(signal.SIGALRM) == before


def test_what_the_check_raises_is_a_refusal_and_goes_on(file: Path) -> None:
    file.parent.mkdir()
    with pytest.raises(SystemExit), start_check.record_result():
        raise SystemExit(78)
    assert start_check.await_result() == (78, "")
    with start_check.record_result():
        pass
    assert start_check.await_result() == (0, "")


def test_without_a_check_there_is_nothing_to_await() -> None:
    assert start_check.await_result() == (0, "")
