"""One log format for every process: text for people or JSON for machines, with the message that is being handled.

What went well goes to stdout, warnings and errors to stderr, so that supervisor keeps them in two files
and every line stands in exactly one of them.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import environ
from typing import Literal

#: Fields that every record of this thread carries while it handles a message: message_id and actor.
_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Adds fields to every record that this thread logs inside."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


#: The name of a process that a person started.
BY_HAND = "queue"


def process_name() -> str:
    """The name under which supervisor runs this process."""
    return environ.get("SUPERVISOR_PROCESS_NAME", BY_HAND)


def worker_number() -> int:
    """The number of this worker process, 2 for worker_02; 0 for one that a person started."""
    _, _, number = process_name().rpartition("_")
    return int(number) if number.isdecimal() else 0


def configure(
    level: str, style: Literal["text", "json"], *, verbosity: int = 0, everything_to_stderr: bool = False
) -> None:
    """Sends all records of this process to its stdout and stderr.

    level: a name of the logging module. verbosity: 1 shows at least INFO, 2 shows DEBUG of our own modules, 3 that of
    the libraries as well. everything_to_stderr: for a process whose stdout speaks a protocol.
    """
    program = process_name()

    def add_context(record: logging.LogRecord) -> bool:
        record.program = program
        record.context = _context.get() or {}
        return True

    out = logging.StreamHandler(sys.stderr if everything_to_stderr else sys.stdout)
    err = logging.StreamHandler(sys.stderr)
    out.addFilter(lambda record: record.levelno < logging.WARNING)
    err.setLevel(logging.WARNING)
    for handler in (out, err):
        handler.addFilter(add_context)
        handler.setFormatter(_json_formatter() if style == "json" else TextFormatter())
    chosen = min(logging.getLevelName(level), logging.INFO) if verbosity else logging.getLevelName(level)
    logging.basicConfig(level=logging.DEBUG if verbosity > 2 else chosen, handlers=[out, err], force=True)
    logging.getLogger("app").setLevel(logging.DEBUG if verbosity > 1 else logging.NOTSET)
    for library in ("httpx", "httpcore"):
        # One line for each call to Ollama says nothing that the workload's own lines do not.
        logging.getLogger(library).setLevel(logging.NOTSET if verbosity > 2 else logging.WARNING)


def configure_as_started() -> None:
    """Does the same for supervisor's helpers, by what the entrypoint has checked and exported.

    They stay half as large without the library that checks the settings. One's stdout speaks a protocol.
    """
    style: Literal["text", "json"] = "json" if environ.get("LOG_FORMAT") == "json" else "text"
    configure(environ.get("LOG_LEVEL", "INFO"), style, everything_to_stderr=True)


class TextFormatter(logging.Formatter):
    """`2026-11-22T05:12:01.123Z INFO    worker_00 app.web: text [message_id=… actor=…]`"""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(program)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        context: dict[str, str] = getattr(record, "context", {})
        return f"{line} [{' '.join(f'{key}={value}' for key, value in context.items())}]" if context else line


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    class ContextFormatter(JsonFormatter):
        def add_fields(
            self, log_data: dict[str, object], record: logging.LogRecord, message_dict: dict[str, object]
        ) -> None:
            super().add_fields(log_data, record, message_dict)
            log_data.pop("context", None)
            log_data.update(getattr(record, "context", {}))

    return ContextFormatter(
        ["timestamp", "levelname", "program", "name", "message"],
        rename_fields={"levelname": "level", "program": "process", "name": "logger", "timestamp": "time"},
        timestamp=True,
    )
