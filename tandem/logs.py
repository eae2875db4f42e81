"""One log format for every process: text for people or JSON for machines, with the message that is being handled.

Warnings and errors go to stderr, everything else to stdout, so that supervisor stores them in two files and every line
is in exactly one of them.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import environ
from typing import Literal

from tandem.config.environment import application
from tandem.support import colors
from tandem.support.escapes import escaped, lines

#: Fields that every record of this thread carries while it handles a message: message_id and actor.
_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields to every record that this thread logs inside the block."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


#: The name of an interactive process.
INTERACTIVE = "queue"


def process_name() -> str:
    """Return the name of this process in supervisor."""
    return environ.get("SUPERVISOR_PROCESS_NAME", INTERACTIVE)


def worker_number() -> int:
    """Return the number of this worker process, 2 for worker_02; 0 for an interactive one."""
    _, _, number = process_name().rpartition("_")
    return int(number) if number.isdecimal() else 0


def configure(
    level: str, style: Literal["text", "json"], *, verbosity: int = 0, everything_to_stderr: bool = False
) -> None:
    """Send all records of this process to its stdout and stderr.

    level: a name of the logging module. verbosity: 1 shows at least INFO, 2 also DEBUG of Tandem and the application, 3
    that of the libraries as well. everything_to_stderr: for a process whose stdout is used for a protocol.
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
        text = TextFormatter(in_colors=colors.are_wanted(handler.stream))
        handler.setFormatter(_json_formatter() if style == "json" else text)
    chosen = min(logging.getLevelName(level), logging.INFO) if verbosity else logging.getLevelName(level)
    # Only warnings of libraries: some log a line for each step of each message.
    others = logging.DEBUG if verbosity > 2 else max(chosen, logging.WARNING)
    logging.basicConfig(level=others, handlers=[out, err], force=True)
    # An application with another name can use workloads of the package app.
    for ours in {"tandem", "app", application()}:
        logging.getLogger(ours).setLevel(logging.DEBUG if verbosity > 1 else chosen)
    logging.getLogger("gunicorn").setLevel(chosen)


def configure_from_environment() -> None:
    """Configure logging of supervisor's helper processes by the variables that the entrypoint exports.

    They are half as large without the library that validates the settings. The stdout of one is used for a protocol.
    """
    style: Literal["text", "json"] = "json" if environ.get("LOG_FORMAT") == "json" else "text"
    configure(environ.get("LOG_LEVEL", "INFO"), style, everything_to_stderr=True)


class TextFormatter(logging.Formatter):
    """`2026-11-22T05:12:01.123Z INFO    worker_00 tandem.web: text [message_id=… actor=…]`"""

    converter = staticmethod(time.gmtime)

    def __init__(self, *, in_colors: bool = False) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(program)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        self._in_colors = in_colors

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        context: dict[str, str] = getattr(record, "context", {})
        line = escaped(f"{line} [{' '.join(f'{key}={value}' for key, value in context.items())}]" if context else line)
        return _in_colors(line) if self._in_colors else line

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; further lines, of a traceback, are indented, so that none looks like another record."""
        first, *more = super().format(record).split("\n")
        return "\n".join([first, *(f"  {line}" for line in lines("\n".join(more)) if more)])


def _in_colors(line: str) -> str:
    """Return the line with its level and program in colours."""
    moment, level, space, program, rest = _PARTS.fullmatch(line).groups()  # type: ignore[union-attr]
    shown = colors.colored(level, colors.OF_LEVELS.get(level, 0))
    return f"{moment} {shown}{space}{colors.colored(program, colors.of_name(program))}{rest}"


_PARTS = re.compile(r"(\S+) (\S+)( +)(\S+)(.*)", re.DOTALL)


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
