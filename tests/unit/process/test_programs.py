"""Programs of an application's own: what is wrong with one is said in one line, and its log is Tandem's business."""

from __future__ import annotations

from configparser import RawConfigParser
from pathlib import Path
from typing import Any, cast

import pytest

from tandem.process import programs
from tandem.process.programs import Program


def written(folder: Path, text: str, name: str = "relay") -> tuple[list[Program], list[str]]:
    (folder / f"{name}.conf").write_text(text)
    found, errors = programs.read(folder)
    return found, [error.replace(f"{folder}/", "") for error in errors]


def test_a_program_is_read_and_written_with_its_log(tmp_path: Path) -> None:
    text = "[program:relay]\ncommand=python -m shop.relay %(ENV_HOME)s  ; relays\nstopwaitsecs=20\nautorestart=false\n"
    found, errors = written(tmp_path, text)
    assert errors == []
    assert found == [
        Program("relay", "python -m shop.relay %(ENV_HOME)s", 20, {"autorestart": "false"}),
    ]
    programs.write(found, tmp_path / "started")
    parser = RawConfigParser()
    parser.read(tmp_path / "started/relay.conf")
    options = dict(parser["program:relay"])
    assert options["command"] == "python -m shop.relay %(ENV_HOME)s"
    assert options["stdout_logfile"] == "/var/log/supervisor/relay.log"
    assert (options["stopwaitsecs"], options["autorestart"], options["redirect_stderr"]) == ("20", "false", "true")


def test_several_processes_have_a_log_each(tmp_path: Path) -> None:
    programs.write([Program("relay", "sleep 5", options={"numprocs": "2"})], tmp_path)
    text = (tmp_path / "relay.conf").read_text()
    assert "process_name=%(program_name)s_%(process_num)02d\n" in text
    assert "stdout_logfile=/var/log/supervisor/relay-%(process_num)02d.log\n" in text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("command=true\n", "relay.conf: File contains no section headers."),
        ("[program:mailer]\ncommand=true\n", "relay.conf: expected one section, [program:relay], which has the name"),
        ("[program:relay]\n", "relay.conf: it has no command: add command=…"),
        (
            "[program:relay]\ncommand=true\nstopwaitsecs=soon\n",
            "relay.conf: stopwaitsecs=soon is invalid: expected",
        ),
        ("[program:relay]\ncommand=true\nnumprocs=0\n", "relay.conf: numprocs=0 is invalid: expected 1 to 64"),
        (
            "[program:relay]\ncommand=true\nstdout_logfile=/x\n",
            "relay.conf: the option stdout_logfile is set by",
        ),
        ("[program:relay]\ncommand=true\nshiny=1\n", "relay.conf: the option shiny is unknown: expected command,"),
        ("[program:relay]\ncommand=true\ncommand=false\n", "relay.conf: While reading from"),
        ("x" * 70_000, "relay.conf: it is larger than 65,536 bytes"),
        ("\x00", "relay.conf: File contains no section headers."),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, error: str) -> None:
    _, errors = written(tmp_path, text)
    assert len(errors) == 1 and errors[0].startswith(error) and "\n" not in errors[0]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("web", "the name web is one of Tandem's programs: choose another one"),
        ("Mail-Poller", "the name 'Mail-Poller' is invalid: expected lower-case letters, digits and underscores"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, error: str) -> None:
    assert list(programs.problems(Program(name, "true"))) == [error]


def test_values_of_other_types_are_refused_and_not_raised() -> None:
    wrong: Any = Program("relay", "true", cast(int, "5"), cast("dict[str, str]", {"numprocs": 0}))
    assert list(programs.problems(wrong)) == [
        "5 s to stop are invalid: expected 0 to 86,400",
        "numprocs=0 is invalid: expected 1 to 64",
    ]


def test_programs_that_would_be_killed_at_a_stop_are_refused() -> None:
    slow = [Program("relay", "true", 30), Program("poller", "true", 5)]
    assert list(programs.too_slow(slow, 660, 695)) == []
    assert list(programs.too_slow([], 660, 10)) == []
    assert list(programs.too_slow(slow, 660, 660)) == [
        "STOP_GRACE_PERIOD=660s is invalid: the container would be killed before its programs may end "
        "(relay 30 s, poller 5 s); expected at least 695s"
    ]


def test_an_image_without_programs_has_none(tmp_path: Path) -> None:
    assert programs.read(tmp_path / "none") == ([], [])
