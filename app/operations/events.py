"""The program `events`: listens to supervisord (https://supervisord.org/events.html) and copies the logs to stdout.

A program that ends unexpectedly is noted for the monitor, which counts. One that cannot be started any more (FATAL)
is told in the log and to the alert hook. Without web or Redis the
container is of no use, so it ends with a code that makes Docker's restart policy act; without a worker the web
still accepts, and the health check fails.
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

from app import logs
from app.operations import exit_code, restarts
from app.operations.alerts import Alerts
from app.operations.log_copy import LogCopy, as_json, prefixed

logger = logging.getLogger("app.operations.events")

INDISPENSABLE = ("web", "redis")
EXIT_FATAL = 70  # EX_SOFTWARE of sysexits.h
# A program that backs off does so several times in a row; people hear of it once in this time (seconds).
BACKOFF_SILENCE = 60.0


class Listener:
    """Decides what an event means. `supervisord`: its process id."""

    def __init__(self, alerts: Alerts, supervisord: int) -> None:
        self._alerts = alerts
        self._supervisord = supervisord
        self._told: dict[str, float] = {}

    def handle(self, event: str, process: dict[str, str]) -> None:
        """`event` is a name such as PROCESS_STATE_FATAL, `process` what supervisord says of it."""
        name = process.get("processname", "?")
        if event == "PROCESS_STATE_FATAL":
            self._fatal(name, process.get("groupname", "?"))
        elif event == "PROCESS_STATE_BACKOFF":
            self._backoff(name, process.get("tries", "?"))
        elif event == "PROCESS_STATE_EXITED" and process.get("expected") == "0":
            logger.warning("%s ended unexpectedly and is started again", name)
            _note(name)

    def _fatal(self, name: str, group: str) -> None:
        text = f"{name} cannot be started and was given up (FATAL): its log says why"
        logger.error(text)
        self._alerts.send(text, process=name, state="FATAL")
        if group in INDISPENSABLE:
            logger.error("the container ends with code %d, because it is of no use without %s", EXIT_FATAL, group)
            exit_code.leave(EXIT_FATAL)
            os.kill(self._supervisord, signal.SIGTERM)

    def _backoff(self, name: str, tries: str) -> None:
        text = f"{name} ended right after its start, try {tries} (BACKOFF)"
        logger.warning(text)
        _note(name)
        now = time.monotonic()
        if now - self._told.get(name, -BACKOFF_SILENCE) >= BACKOFF_SILENCE:
            self._told[name] = now
            self._alerts.send(text, process=name, state="BACKOFF")


def _note(name: str) -> None:
    """A full disk must not end the listener."""
    try:
        restarts.note(name)
    except OSError as error:
        logger.warning("the end of %s is not counted: %s", name, error)


def events(source: TextIO, sink: TextIO) -> Iterator[tuple[str, dict[str, str]]]:
    """Event name and payload fields, one after the other; each is acknowledged when the next one is asked for."""
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
    """Runs until SIGTERM, or until supervisord is gone."""
    logs.configure_as_started()
    copy = LogCopy(as_json if os.environ.get("LOG_FORMAT") == "json" else prefixed)
    copy.start()

    def leave(_number: int, _frame: FrameType | None) -> None:
        copy.finish()
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    listener = Listener(Alerts(), os.getppid())
    for event, process in events(sys.stdin, sys.stdout):
        listener.handle(event, process)


if __name__ == "__main__":
    main()
