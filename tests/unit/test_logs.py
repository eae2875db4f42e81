"""The one log format, and which of the two streams a line goes to."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from threading import Thread

import pytest

from app import logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


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
    with logs.bound(message_id="7", actor="translate"):
        logging.getLogger("app.x").info("begins")
    logging.getLogger("app.x").info("idle")

    lines = capsys.readouterr().out.splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + r" INFO    worker_00 app\.x: begins \[message_id=7 actor=translate\]", lines[0])
    assert re.fullmatch(stamp + r" INFO    worker_00 app\.x: idle", lines[1])


def test_fields_are_added_inside_and_end_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "text")
    logger = logging.getLogger("app.x")
    with logs.bound(message_id="7"):
        with pytest.raises(ValueError), logs.bound(actor="translate", message_id="8"):
            logger.info("inside")
            raise ValueError
        logger.info("outside")
    logger.info("idle")

    assert [line.split("app.x: ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "inside [message_id=8 actor=translate]",
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


def test_a_json_record_holds_its_traceback_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    with logs.bound(message_id="7", actor="translate"):
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
