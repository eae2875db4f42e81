"""What this container's supervisord does differently: it wakes up for signals and cuts no line when it rotates."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisor import loggers

from tandem.process.supervisord import LineRotatingFileHandler, WakingPoller


@pytest.fixture
def poller() -> Iterator[WakingPoller]:
    """One that has been running for a while."""
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    poller = WakingPoller(None)
    poller._started -= 60
    poller.poll(60)
    yield poller
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR1, before)


def test_at_the_start_the_first_round_does_not_wait_and_the_others_wait_for_a_short_time(
    poller: WakingPoller,
) -> None:
    new, since = WakingPoller(None), time.monotonic()
    for _ in range(4):
        assert new.poll(60) == ([], [])
    assert 0.3 <= time.monotonic() - since < 30


def test_a_signal_ends_the_wait_and_the_next_round_does_not_wait_either(poller: WakingPoller) -> None:
    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1]).start()
    since = time.monotonic()

    assert poller.poll(60) == ([], [])
    assert poller.poll(60) == ([], [])

    assert time.monotonic() - since < 30


def test_without_a_signal_the_poller_reports_what_can_be_read(poller: WakingPoller) -> None:
    reading, writing = os.pipe()
    poller.register_readable(reading)
    os.write(writing, b"x")

    assert poller.poll(60) == ([reading], [])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "web.log"


def write(log: Path, *blocks: bytes) -> list[bytes]:
    """The contents of the files after these blocks came out of a pipe, newest first."""
    handler = LineRotatingFileHandler(str(log), "ab", 10, 3)
    handler.setFormat("%(message)s")
    for block in blocks:
        handler.emit(loggers.LogRecord(loggers.LevelsByName.INFO, block))
    handler.close()
    return [path.read_bytes() for path in sorted(log.parent.glob("web.log*"))]


def test_a_line_that_comes_in_pieces_is_not_torn_by_a_rotation(log: Path) -> None:
    assert write(log, b"a first line, ", b"its end\n", b"second\n") == [b"second\n", b"a first line, its end\n"]


def test_whole_lines_rotate_at_the_size(log: Path) -> None:
    assert write(log, b"0123456789\n", b"next\n") == [b"next\n", b"0123456789\n"]


def test_a_line_without_end_rotates_all_the_same(log: Path) -> None:
    newest, rotated = write(log, b"x" * 1_100_000, b"y")
    assert (newest, len(rotated)) == (b"y", 1_100_000)
