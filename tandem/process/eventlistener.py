"""The program `eventlistener`: handles events of supervisord (https://supervisord.org/events.html) and forwards logs.

A program that exits unexpectedly is noted for the monitor, which counts. One that cannot be started any more (FATAL) is
logged and sent to the alert webhook. Without web or Redis the container is useless, so it exits with a code that makes
Docker's restart policy act; without a worker the web still accepts messages, and the health check fails.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import TextIO

from tandem import logs
from tandem.process import exit_code, restarts
from tandem.process.alert_sender import AlertSender
from tandem.process.log_forwarder import LogForwarder, as_json, colored, prefixed

logger = logging.getLogger("tandem.process.eventlistener")

ESSENTIAL = ("proxy", "web", "redis")
EXIT_FATAL = 70  # EX_SOFTWARE of sysexits.h
# A program that backs off does so several times in a row; one alert is sent in this time (seconds).
BACKOFF_ALERT_INTERVAL = 60.0


class Listener:
    """Decides what an event means. `supervisord`: its process id."""

    def __init__(self, alerts: AlertSender, supervisord: int) -> None:
        self._alerts = alerts
        self._supervisord = supervisord
        self._alerted_at: dict[str, float] = {}

    def handle(self, event: str, process: dict[str, str]) -> None:
        """Handle an event such as PROCESS_STATE_FATAL; `process` has the fields that supervisord sends with it."""
        name = process.get("processname", "?")
        if event == "PROCESS_STATE_FATAL":
            self._fatal(name, process.get("groupname", "?"))
        elif event == "PROCESS_STATE_BACKOFF":
            self._backoff(name, process.get("tries", "?"))
        elif event == "PROCESS_STATE_EXITED" and process.get("expected") == "0":
            logger.warning("%s exited unexpectedly and is restarted", name)
            _note(name)

    def _fatal(self, name: str, group: str) -> None:
        text = f"{name} cannot be started, supervisord gave up (FATAL): check its log"
        logger.error(text)
        self._alerts.send(text, process=name, state="FATAL")
        if group in ESSENTIAL:
            logger.error("the container exits with code %d, because it is useless without %s", EXIT_FATAL, group)
            exit_code.write(EXIT_FATAL)
            os.kill(self._supervisord, signal.SIGTERM)

    def _backoff(self, name: str, tries: str) -> None:
        text = f"{name} exited right after its start, try {tries} (BACKOFF)"
        logger.warning(text)
        _note(name)
        now = time.monotonic()
        if now - self._alerted_at.get(name, -BACKOFF_ALERT_INTERVAL) >= BACKOFF_ALERT_INTERVAL:
            self._alerted_at[name] = now
            self._alerts.send(text, process=name, state="BACKOFF")


def _note(name: str) -> None:
    """Note an unexpected exit; a full disk must not end the listener."""
    try:
        restarts.note(name)
    except OSError as error:
        logger.warning("the exit of %s is not counted: %s", name, error)


def events(source: TextIO, sink: TextIO) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield event name and payload fields; each event is acknowledged when the next one is requested."""
    while True:
        sink.write("READY\n")
        sink.flush()
        header = source.readline()
        if not header:
            return
        fields = _fields(header)
        yield fields["eventname"], _fields(source.read(int(fields["len"])))
        sink.write("RESULT 2\nOK")
        sink.flush()


def _fields(line: str) -> dict[str, str]:
    return dict(part.split(":", 1) for part in line.split())


def main() -> None:
    """Run until SIGTERM, or until supervisord has exited."""
    logs.configure_from_environment()
    text = colored if os.environ.get("LOG_COLORS") == "1" else prefixed
    forwarder = LogForwarder(as_json if os.environ.get("LOG_FORMAT") == "json" else text)
    forwarder.start()

    def stop(_number: int, _frame: FrameType | None) -> None:
        forwarder.finish()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    listener = Listener(AlertSender(), os.getppid())
    for event, process in events(sys.stdin, sys.stdout):
        listener.handle(event, process)


if __name__ == "__main__":
    main()
