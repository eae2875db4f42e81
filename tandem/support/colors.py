"""Colours of a terminal: SGR codes of ECMA-48, those that are readable on dark and on light."""

from __future__ import annotations

from os import environ
from typing import TextIO
from zlib import crc32

_OF_NAMES = (32, 33, 34, 35, 36)
OF_LEVELS = {"WARNING": 33, "ERROR": 31, "CRITICAL": 31}


def of_name(name: str) -> int:
    """Return the code for a name, always the same one."""
    return _OF_NAMES[crc32(name.encode()) % len(_OF_NAMES)]


def are_wanted(stream: TextIO) -> bool:
    """Return whether this is a terminal whose user has not set NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR")


def colored(text: str, code: int) -> str:
    """Return the text between the code and a reset."""
    return f"\x1b[{code}m{text}\x1b[0m"
