"""The log format, and which of the two streams a line is written to."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from threading import Thread

import pytest

from tandem import logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, levels = (
        root.handlers[:],
        {name: logging.getLogger(name).level for name in ("", "tandem", "app", "gunicorn")},
    )
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_line_stands_in_exactly_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    logging.getLogger("app.t").debug("unheard")
    logging.getLogger("app.t").info("well")
    logging.getLogger("app.t").warning("odd")
    logging.getLogger("app.t").error("bad")

    out, err = capsys.readouterr()
    assert [line.rsplit(" ", 1)[1] for line in out.splitlines()] == ["well"]
    assert [line.rsplit(" ", 1)[1] for line in err.splitlines()] == ["odd", "bad"]


def test_a_text_line_names_time_level_process_and_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "worker_00")
    logs.configure("INFO", "text")
    with logs.bound(message_id="7", actor="summarize"):
        logging.getLogger("app.x").info("begins")
    logging.getLogger("app.x").info("idle")

    lines = capsys.readouterr().out.splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + r" INFO    worker_00 app\.x: begins \[message_id=7 actor=summarize\]", lines[0])
    assert re.fullmatch(stamp + r" INFO    worker_00 app\.x: idle", lines[1])


def test_fields_are_added_inside_and_end_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    logger = logging.getLogger("app.x")
    with logs.bound(message_id="7"):
        with pytest.raises(ValueError), logs.bound(actor="summarize", message_id="8"):
            logger.info("inside")
            raise ValueError
        logger.info("outside")
    logger.info("idle")

    assert [line.split("app.x: ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "inside [message_id=8 actor=summarize]",
        "outside [message_id=7]",
        "idle",
    ]


def test_a_threads_fields_are_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    with logs.bound(message_id="7"):
        thread = Thread(target=lambda: logging.getLogger("app.x").info("another"))
        thread.start()
        thread.join()
    assert capsys.readouterr().out.endswith("app.x: another\n")


def test_a_json_record_contains_its_traceback_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    with logs.bound(message_id="7", actor="summarize"):
        try:
            raise ValueError("no\nsuch")
        except ValueError:
            logging.getLogger("app.x").exception("broke")

    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    traceback = record.pop("exc_info")
    assert traceback.startswith("Traceback") and traceback.endswith("ValueError: no\nsuch")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*(Z|\+00:00)", record.pop("time"))
    assert record == {
        "level": "ERROR",
        "process": "queue",
        "logger": "app.x",
        "message": "broke",
        "message_id": "7",
        "actor": "summarize",
    }


def test_a_message_cannot_forge_a_line_or_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    evil = "\x1b]0;PWNED\x07\x9b31m\u202e\r\n2026-11-25T00:00:00.000Z ERROR x: …"
    with logs.bound(message_id=evil):
        logging.getLogger("app.x").info("lost %s", evil)

    (line,) = capsys.readouterr().out.split("\n")[:-1]
    assert line.isprintable()
    assert r"lost \x1b]0;PWNED\x07\x9b31m\u202e\r\n2026-11-25" in line


def test_no_line_of_a_traceback_begins_with_a_stamp(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    try:
        raise ValueError("\n2026-11-25T00:00:00.000Z ERROR x: \x1b[31m")
    except ValueError:
        logging.getLogger("app.x").exception("broke")

    first, *more = capsys.readouterr().err.split("\n")[:-1]
    assert first.endswith("broke")
    assert more and all(line.startswith("  ") and line.isprintable() for line in more)


def test_of_libraries_only_what_is_odd_is_logged_unless_one_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG", "text")
    logging.getLogger("fontTools.subset").info("step")
    logging.getLogger("wanted").setLevel(logging.INFO)
    logging.getLogger("wanted").info("heard")
    logging.getLogger("gunicorn.access").info("request")

    assert [line.rsplit(" ", 1)[1] for line in capsys.readouterr().out.splitlines()] == ["heard", "request"]


def test_a_terminal_gets_colours_and_a_file_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "worker_00")
    record = logging.LogRecord("app.x", logging.ERROR, __file__, 1, "bad\x1b[0m", None, None)
    record.program = "worker_00"

    plain = logs.TextFormatter().format(record)
    shown = logs.TextFormatter(in_colors=True).format(record)

    assert "\x1b" not in plain
    assert "\x1b[31mERROR\x1b[0m   \x1b[" in shown
    assert re.sub(r"\x1b\[\d+m", "", shown) == plain
