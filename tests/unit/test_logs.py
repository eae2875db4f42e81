"""The one log format, and which of the two streams a line goes to."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from app import logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logs.unbind()


def test_a_line_stands_in_exactly_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    logging.getLogger("t").debug("unheard")
    logging.getLogger("t").info("well")
    logging.getLogger("t").warning("odd")
    logging.getLogger("t").error("bad")

    out, err = capsys.readouterr()
    assert [line.rsplit(" ", 1)[1] for line in out.splitlines()] == ["well"]
    assert [line.rsplit(" ", 1)[1] for line in err.splitlines()] == ["odd", "bad"]


def test_a_text_line_names_time_level_process_and_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "worker_00")
    logs.configure("INFO", "text")
    logs.bind(message_id="7", actor="translate")
    logging.getLogger("app.x").info("begins")
    logs.unbind()
    logging.getLogger("app.x").info("idle")

    lines = capsys.readouterr().out.splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + r" INFO    worker_00 app\.x: begins \[message_id=7 actor=translate\]", lines[0])
    assert re.fullmatch(stamp + r" INFO    worker_00 app\.x: idle", lines[1])


def test_a_json_record_holds_its_traceback_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    logs.bind(message_id="7", actor="translate")
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
        "actor": "translate",
    }
