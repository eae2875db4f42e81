"""The copy of all log files: each line once, with the name of its process, of files that come later as well."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.process import log_forwarder
from tandem.process.log_forwarder import LogForwarder, prefixed


class Copy:
    """A forwarder that runs on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "log"
        self.folder.mkdir()
        self._out = folder / "out"
        self.forwarder = LogForwarder(prefixed, folder=self.folder, out=self._out)

    def write(self, name: str, line: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write(line + "\n")

    def await_lines(self, *expected: str) -> None:
        """In any order: that of lines in different files is not known."""
        deadline = time.monotonic() + 10
        while (lines := sorted(self._out.read_text().splitlines() if self._out.exists() else [])) != sorted(expected):
            assert time.monotonic() < deadline, lines
            time.sleep(0.02)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copy]:
    monkeypatch.setattr(log_forwarder, "POSITIONS", tmp_path / "positions.json")
    monkeypatch.setattr(log_forwarder, "POLL_INTERVAL", 0.01)
    copy = Copy(tmp_path)
    copy.forwarder.start()
    yield copy
    copy.forwarder.finish()


def test_lines_of_a_file_that_comes_later_are_copied(copy: Copy) -> None:
    copy.write("web.log", "one")
    copy.await_lines("web        | one")
    for number in range(20):
        # Two files within one tick of the clock of the file system.
        copy.write(f"worker-{number:02}.log", "first")
        copy.write(f"worker-{number:02}-error.log", "second")
        copy.await_lines(
            "web        | one",
            *(f"worker_{n:02}  | {word}" for n in range(number + 1) for word in ("first", "second")),
        )


def test_a_file_that_was_renamed_goes_on_under_its_old_name(copy: Copy) -> None:
    copy.write("web.log", "one")
    copy.await_lines("web        | one")
    (copy.folder / "web.log").rename(copy.folder / "web.log.1")
    copy.write("web.log.1", "two")
    copy.write("web.log", "three")
    copy.await_lines("web        | one", "web        | two", "web        | three")


def test_each_process_has_a_colour_of_its_own_line_and_its_text_none() -> None:
    line = log_forwarder.colored("worker_00", b"text \x1b[31m")

    assert line.startswith(b"\x1b[")
    assert re.sub(rb"\x1b\[\d+m", b"", line) == log_forwarder.prefixed("worker_00", b"text \x1b[31m")
    assert log_forwarder.colored("worker_00", b"other")[:5] == line[:5]
