"""Reading a log file: each whole line once, also across rotations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.process.tail import BACKUPS, BLOCK, Tail


def rotate(path: Path) -> None:
    """What supervisord does."""
    for number in range(BACKUPS - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))
    path.touch()


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def read(tail: Tail) -> Iterator[str]:
    for _ in range(2 * BACKUPS + 2):
        yield from (line.decode() for line in tail.lines())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "worker-00.log"
    path.touch()
    return path


def test_a_line_comes_when_it_is_whole(log: Path) -> None:
    tail = Tail(log)
    write(log, "one\ntw")
    assert list(read(tail)) == ["one"]
    write(log, "o\n")
    assert list(read(tail)) == ["two"]


def test_lines_before_and_after_a_rotation_are_read_once_each(log: Path) -> None:
    tail = Tail(log)
    write(log, "one\n")
    assert list(read(tail)) == ["one"]
    write(log, "two\n")
    rotate(log)
    write(log, "three\n")
    assert list(read(tail)) == ["two", "three"]


def test_several_rotations_at_once_are_caught_up(log: Path) -> None:
    tail = Tail(log)
    for number in range(BACKUPS + 1):
        write(log, f"{number}\n")
        if number < BACKUPS:
            rotate(log)
    assert list(read(tail)) == ["0", "1", "2", "3"]


def test_reading_goes_on_where_another_process_stopped(log: Path) -> None:
    first = Tail(log)
    write(log, "one\nhal")
    list(read(first))
    write(log, "f\ntwo\n")
    rotate(log)
    write(log, "three\n")

    assert list(read(Tail(log, first.position))) == ["half", "two", "three"]


def test_a_file_that_comes_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "new.log")
    assert list(read(tail)) == []
    write(tmp_path / "new.log", "one\n")
    assert list(read(tail)) == ["one"]


def test_a_truncated_file_is_read_from_the_beginning(log: Path) -> None:
    write(log, "one\ntwo\n")
    first = Tail(log)
    list(read(first))
    log.write_text("three\n")
    assert list(read(Tail(log, first.position))) == ["three"]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["write", "rotate", "read", "restart"]), max_size=40))
def test_no_line_is_lost_or_doubled_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    log = tmp_path_factory.mktemp("logs") / "x.log"
    log.touch()
    tail, seen, written, rotations = Tail(log), [], 0, 0
    for step in [*steps, "read"]:
        if step == "write":
            write(log, f"{written}\n")
            written += 1
        elif step == "rotate" and rotations < BACKUPS:  # more than the backups without reading is a loss by design
            rotate(log)
            rotations += 1
        elif step == "restart":
            tail = Tail(log, tail.position)
        elif step == "read":
            seen += list(read(tail))
            rotations = 0
    assert seen == [str(number) for number in range(written)]


def test_a_rotated_file_that_is_larger_than_a_block_is_read_to_its_end(log: Path) -> None:
    tail = Tail(log)
    write(log, "first\n")
    assert list(tail.lines()) == [b"first"]
    write(log, ("x" * 99 + "\n") * (3 * BLOCK // 100))
    rotate(log)
    write(log, "last\n")

    lines = list(read(tail))

    assert len(lines) == 3 * BLOCK // 100 + 1
    assert lines[-1] == "last"


def test_a_file_that_is_emptied_while_it_is_read_is_read_from_its_beginning(log: Path) -> None:
    tail = Tail(log)
    write(log, "one\ntwo\nhal")
    assert list(read(tail)) == ["one", "two"]
    log.write_text("")
    write(log, "x\n")
    assert list(read(tail)) == ["x"]


def test_a_deleted_file_is_read_on_until_there_is_a_new_one_and_its_backups_do_not_come_again(log: Path) -> None:
    tail = Tail(log)
    write(log, "one\n")
    rotate(log)
    writer = log.open("a")
    print("two", file=writer, flush=True)
    assert list(read(tail)) == ["one", "two"]
    log.unlink()
    print("three", file=writer, flush=True)
    assert list(read(tail)) == ["three"]
    writer.close()
    write(log, "four\n")
    assert list(read(tail)) == ["four"]
