"""The event listener, the monitor's watch and the copy of the logs."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tandem.monitor.main import CHECKS, HangDetector
from tandem.process import alert_sender, eventlistener, exit_code, log_forwarder, restarts
from tandem.process.eventlistener import Listener
from tandem.process.log_forwarder import LogForwarder, as_json, prefixed, process_of
from tandem.worker import heartbeat_file


class AlertSender(alert_sender.AlertSender):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def send(self, text: str, **_details: str) -> None:
        self.sent.append(text)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda pid, number: seen.append((pid, number)))
    monkeypatch.setattr(exit_code, "_FILE", tmp_path / "exit-code")
    monkeypatch.setattr(restarts.note, "__defaults__", (tmp_path / "restarts",))
    return seen


def process(name: str, group: str, **more: str) -> dict[str, str]:
    return {"processname": name, "groupname": group, **more}


@pytest.mark.parametrize("name", ["web", "redis"])
def test_without_web_or_redis_the_container_ends_with_a_code(name: str, killed: list[tuple[int, int]]) -> None:
    heard = AlertSender()
    Listener(heard, 7).handle("PROCESS_STATE_FATAL", process(name, name))

    assert killed == [(7, signal.SIGTERM)]
    assert exit_code.read() == 70
    assert heard.sent == [f"{name} cannot be started, supervisord gave up (FATAL): check its log"]
    exit_code.reset()
    assert exit_code.read() == 0


def test_without_a_worker_the_container_goes_on(killed: list[tuple[int, int]]) -> None:
    heard = AlertSender()
    Listener(heard, 7).handle("PROCESS_STATE_FATAL", process("worker_00", "worker"))

    assert killed == [] and exit_code.read() == 0
    assert len(heard.sent) == 1


def test_a_program_that_backs_off_is_reported_once_a_minute(
    killed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, now = AlertSender(), 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    listener = Listener(heard, 7)
    for _ in range(3):
        listener.handle("PROCESS_STATE_BACKOFF", process("web", "web", tries="1"))
    assert len(heard.sent) == 1
    now += 61
    listener.handle("PROCESS_STATE_BACKOFF", process("web", "web", tries="2"))
    assert heard.sent[1] == "web exited right after its start, try 2 (BACKOFF)"
    assert killed == []


def test_unexpected_ends_are_noted_for_the_monitor_and_planned_ones_are_not(killed: list[tuple[int, int]]) -> None:
    listener = Listener(AlertSender(), 7)
    listener.handle("PROCESS_STATE_EXITED", process("worker_00", "worker", expected="1"))
    assert restarts.recent(restarts_file()) == {}
    listener.handle("PROCESS_STATE_EXITED", process("worker_00", "worker", expected="0"))
    listener.handle("PROCESS_STATE_BACKOFF", process("worker_00", "worker", tries="1"))
    listener.handle("PROCESS_STATE_FATAL", process("worker_00", "worker"))  # its last end was noted before

    assert restarts.recent(restarts_file()) == {"worker_00": 2}


def restarts_file() -> Path:
    (file,) = restarts.note.__defaults__ or ()
    return Path(file)


def test_a_note_that_cannot_be_written_does_not_end_the_listener(
    killed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(restarts.note, "__defaults__", (Path("/proc/nowhere/restarts"),))
    Listener(AlertSender(), 7).handle("PROCESS_STATE_EXITED", process("web", "web", expected="0"))
    assert "the exit of web is not counted" in caplog.text


def test_every_event_is_acknowledged_after_it_was_handled() -> None:
    payload = "processname:web groupname:web from_state:STARTING tries:1"
    source = io.StringIO(f"ver:3.0 eventname:PROCESS_STATE_BACKOFF len:{len(payload)}\n{payload}")
    sink = io.StringIO()
    stream = eventlistener.events(source, sink)

    assert next(stream) == ("PROCESS_STATE_BACKOFF", dict(part.split(":") for part in payload.split()))
    assert sink.getvalue() == "READY\n"
    assert list(stream) == []
    assert sink.getvalue() == "READY\nRESULT 2\nOKREADY\n"


def heartbeat(beat: int, pid: int = 10, **more: Any) -> dict[str, Any]:
    return {"pid": pid, "beat": beat, "time": 1000.0, "running": [], **more}


def test_a_worker_counts_as_hung_after_checks_without_a_new_heartbeat() -> None:
    watch = HangDetector()
    for _ in range(CHECKS):
        assert watch.hung({"worker_00": heartbeat(5)}) == []
    assert watch.hung({"worker_00": heartbeat(5)}) == [("worker_00", 10)]


def test_a_new_beat_or_a_new_process_starts_the_count_again() -> None:
    watch = HangDetector()
    for look in range(3 * CHECKS):
        assert watch.hung({"worker_00": heartbeat(look // 5), "worker_01": heartbeat(1, pid=look // 5)}) == []


def test_what_is_wrong_with_a_worker_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1005.0)
    assert heartbeat_file.trouble(heartbeat(1)) is None
    message = {"message_id": "7", "actor": "block", "seconds": 700.4, "stuck": True}
    assert heartbeat_file.trouble(heartbeat(1, running=[message])) == "stuck for 700 s in block 7"
    monkeypatch.setattr("time.monotonic", lambda: 1031.0)
    assert heartbeat_file.trouble(heartbeat(1)) == "no heartbeat for 31 s"


def test_a_heartbeat_is_read_as_it_was_written(tmp_path: Path) -> None:
    heartbeat_file.write("worker_00", heartbeat(3), tmp_path)
    (tmp_path / "worker_01.json").write_text('{"pid": 1')
    assert heartbeat_file.read(tmp_path) == {"worker_00": heartbeat(3)}
    heartbeat_file.remove("worker_00", tmp_path)
    assert heartbeat_file.read(tmp_path) == {}


def test_each_line_names_its_process() -> None:
    assert process_of("worker-00-error.log") == process_of("worker-00.log") == "worker_00"
    assert prefixed("web", b"hello") == b"web        | hello\n"
    ours = b'{"time": "x", "process": "web", "message": "hello"}'
    assert as_json("web", ours) == ours + b"\n"
    record = json.loads(as_json("redis", b"Ready \xff"))
    assert record.pop("time")
    assert record == {"level": "INFO", "process": "redis", "message": "Ready \ufffd"}


def test_the_copy_leaves_out_what_an_earlier_container_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_forwarder, "POSITIONS", tmp_path / "positions.json")
    monkeypatch.setattr(log_forwarder, "FOLDER", tmp_path)
    out = tmp_path / "stdout"
    out.touch()
    (tmp_path / "web.log").write_text("old\n")
    log_forwarder.skip_existing_lines()

    for number, text in enumerate(["new\n", "newer\n"]):
        with (tmp_path / "web.log").open("a") as file:
            file.write(text)
        (tmp_path / f"worker-0{number}.log").write_text("from the beginning\n")
        out.write_bytes(b"")
        copy = LogForwarder(prefixed, folder=tmp_path, out=out)
        copy.start()
        copy.finish()
        # The second one is a restarted forwarder: it continues after the lines that the first one had copied.
        assert out.read_text().splitlines() == [
            f"web        | {text.strip()}",
            f"worker_0{number}  | from the beginning",
        ]
