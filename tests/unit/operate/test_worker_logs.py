"""The workers' logs as one stream."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from tandem.operate.worker_logs import NoLogs, WorkerLogs, painted, parse_since

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def line(second: int, text: str) -> str:
    return f"2026-11-22T05:00:{second:02}.000Z INFO    worker_0x app.x: {text}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "worker-00.log").write_text(line(1, "one") + line(4, "four"))
    (tmp_path / "worker-00-error.log").write_text(line(3, "three") + "Traceback:\n  ValueError\n")
    (tmp_path / "worker-01.log").write_text(line(2, "two") + line(5, "five"))
    (tmp_path / "web.log").write_text(line(0, "not a worker"))
    return tmp_path


def shown(logs: WorkerLogs, count: int = 50, since: str = "") -> list[str]:
    moment = {"since": parse_since(since, NOW)} if since else {}
    return [text for record in logs.newest(count, **moment) for text in painted(record, colour=False)]


def test_all_workers_lines_come_in_the_order_of_their_time(folder: Path) -> None:
    texts = shown(WorkerLogs(folder=folder))
    assert [text.split(" | ")[0] for text in texts] == ["worker_00", "worker_01"] + ["worker_00"] * 4 + ["worker_01"]
    assert [text.rsplit(" ", 1)[1] for text in texts] == [
        "one",
        "two",
        "three",
        "Traceback:",
        "ValueError",
        "four",
        "five",
    ]


def test_the_newest_lines_are_counted_over_all_workers(folder: Path) -> None:
    assert [text.rsplit(" ", 1)[1] for text in shown(WorkerLogs(folder=folder), 3)] == ["ValueError", "four", "five"]
    assert shown(WorkerLogs(folder=folder), 0) == []


def test_errors_and_numbers_choose(folder: Path) -> None:
    assert len(shown(WorkerLogs(errors_only=True, folder=folder))) == 3
    assert [text.rsplit(" ", 1)[1] for text in shown(WorkerLogs([1], folder=folder))] == ["two", "five"]


def test_since_leaves_out_what_is_older(folder: Path) -> None:
    texts = shown(WorkerLogs(folder=folder), since="2026-11-22T05:00:04")
    assert [text.rsplit(" ", 1)[1] for text in texts] == ["four", "five"]


def test_following_continues_after_the_shown_lines(folder: Path) -> None:
    logs = WorkerLogs(folder=folder)
    logs.newest(1)
    with (folder / "worker-01.log").open("a") as file:
        file.write(line(6, "six"))
    (folder / "worker-02.log").write_text(line(7, "seven"))

    records = list(islice(logs.follow(), 2))

    assert [record.process for record in records] == ["worker_01", "worker_02"]
    assert [record.lines[0].rsplit(" ", 1)[1] for record in records] == ["six", "seven"]


def test_json_lines_are_sorted_by_their_time(tmp_path: Path) -> None:
    (tmp_path / "worker-00.log").write_text('{"time": "2026-11-22T05:00:02+00:00", "message": "two"}\n')
    (tmp_path / "worker-01.log").write_text('{"time": "2026-11-22T05:00:01+00:00", "message": "one"}\n')
    assert [text.split(" | ")[0] for text in shown(WorkerLogs(folder=tmp_path))] == ["worker_01", "worker_00"]


def test_a_worker_that_is_not_there_is_named_with_those_that_are(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NoLogs, match="expected numbers from 0, 1"):
        WorkerLogs([7], folder=folder)
    with pytest.raises(NoLogs, match="check whether this container runs workers"):
        WorkerLogs(folder=tmp_path / "empty")


def test_each_worker_has_its_colour(folder: Path) -> None:
    lines = [text for record in WorkerLogs(folder=folder).newest(2) for text in painted(record, colour=True)]
    assert lines[0].startswith("\033[36mworker_00\033[0m | ")
    assert lines[1].startswith("\033[33mworker_01\033[0m | ")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", datetime(2026, 11, 22, 5, 59, 30, tzinfo=UTC)),
        ("10m", datetime(2026, 11, 22, 5, 50, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 21, 6, 0, tzinfo=UTC)),
        ("2026-11-22T05:30:00", datetime(2026, 11, 22, 5, 30, tzinfo=UTC)),
        ("2026-11-22T05:30:00+01:00", datetime(2026, 11, 22, 4, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_span_or_a_time(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["soon", "999999999d"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text} is invalid: expected 30s, 10m, 2h, 1d or"):
        parse_since(text, NOW)


def test_the_lines_about_one_message_come_with_their_tracebacks(folder: Path) -> None:
    with (folder / "worker-01.log").open("a") as file:
        file.write(line(6, "began [message_id=abc]") + line(7, "of another") + line(8, "failed [message_id=abc]"))
        file.write("  Traceback:\n  ValueError\n" + line(9, "of another"))
    logs = WorkerLogs(folder=folder)
    texts = [text for record in logs.of_message("abc") for text in record.lines]
    assert [text.split()[-1] for text in texts] == ["[message_id=abc]", "[message_id=abc]", "Traceback:", "ValueError"]
    assert WorkerLogs(folder=folder).of_message("nothing") == []
