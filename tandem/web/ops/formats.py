"""How figures and times are written in the templates."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from tandem.broker.connection import raw
from tandem.support import formatting
from tandem.support.times import iso

# Those that act on terminals and on the direction of text, besides line ends and tabs.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def moment(seconds: float | None, *, precise: bool = False) -> str:
    """Return a time in UTC, to the second or the millisecond; "?" for one that is none: a sender can claim any."""
    try:
        return "" if seconds is None else iso(seconds, milliseconds=precise)
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"


def clock(seconds: float) -> str:
    """Return the time of day in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def number(value: float) -> str:
    """Return a number with commas."""
    return f"{value:,.0f}"


def short(text: str, length: int = 160) -> str:
    """Return the beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]}…"


def safe(text: str) -> str:
    """Return a text of any bytes as it can be shown: line ends and tabs stay, other control characters are escaped."""
    shown_ = text.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), shown_)


def quoted(id_: str) -> str:
    """Return an id, of any bytes, as it stands in a link and in a form (see `unquoted`)."""
    return quote(raw(id_), safe="")


def unquoted(text: str) -> str:
    """Return the id in a link or a form."""
    return unquote(text, errors="surrogateescape")


def shown(name: str) -> str:
    """Return a name, which may come from anybody, as a shell takes it."""
    return shlex.quote(safe(name))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "moment": moment,
    "clock": clock,
    "number": number,
    "short": short,
    "safe_name": safe,
    "quoted": quoted,
    "shown": shown,
    "duration": formatting.duration,
    "mebibytes": formatting.memory,
}
