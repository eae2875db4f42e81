"""One log format for every process: text for people or JSON for machines, with the message that is being handled.

What went well goes to stdout, warnings and errors to stderr, so that supervisor keeps them in two files
and every line stands in exactly one of them.
"""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar
from os import environ
from typing import Literal

#: Fields that every record of this thread carries while it handles a message: message_id and actor.
_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)


def bind(**fields: str) -> None:
    """Adds fields to every record that this thread logs from now on."""
    _context.set({**(_context.get() or {}), **fields})


def unbind() -> None:
    """Takes away all fields of this thread."""
    _context.set(None)


def process_name() -> str:
    """The name under which supervisor runs this process, or `queue` for one that a person started."""
    return environ.get("SUPERVISOR_PROCESS_NAME", "queue")


def configure(level: str, style: Literal["text", "json"]) -> None:
    """Sends all records of this process to its stdout and stderr. `level` is a name of the logging module."""
    program = process_name()

    def add_context(record: logging.LogRecord) -> bool:
        record.program = program
        record.context = _context.get() or {}
        return True

    out, err = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stderr)
    out.addFilter(lambda record: record.levelno < logging.WARNING)
    err.setLevel(logging.WARNING)
    for handler in (out, err):
        handler.addFilter(add_context)
        handler.setFormatter(_json_formatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[out, err], force=True)
    # One line for each call to Ollama says nothing that the workload's own lines do not.
    logging.getLogger("httpx").setLevel(max(logging.WARNING, logging.getLevelName(level)))


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
