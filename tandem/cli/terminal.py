"""Text of messages for a terminal, truncated to its width, and progress of long commands."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

# The width if the terminal's is unknown, for example in a pipe.
FALLBACK_WIDTH = 160
# Fewer steps than this finish too quickly to report progress.
MIN_REPORTED = 1000


def fitted(text: str, width: int) -> str:
    """Return the text in exactly `width` columns: padded with spaces, or truncated with an ellipsis."""
    columns = 0
    shown: list[str] = []
    for char in text:
        columns += _columns(char)
        if columns > width:
            return _truncated(shown, width)
        shown.append(char)
    return text + " " * (width - columns)


def width() -> int:
    """Return the number of columns of the terminal."""
    return shutil.get_terminal_size((FALLBACK_WIDTH, 24)).columns


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call after each step: it shows a bar on a terminal, elsewhere a line per tenth of many."""
    if sys.stdout.isatty():
        with click.progressbar(length=total, label=label, show_pos=True) as bar:
            yield bar.update
        return
    done = tenths = 0

    def advance(count: int) -> None:
        nonlocal done, tenths
        done += count
        if total >= MIN_REPORTED and done * 10 // total > tenths:
            tenths = done * 10 // total
            click.echo(f"{label}: {done:,} of {total:,}")

    yield advance


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _truncated(shown: list[str], width: int) -> str:
    """Return the characters that fit, with an ellipsis."""
    while shown and sum(map(_columns, shown)) > width - 1:
        shown.pop()
    text = "".join(shown) + "…"
    return text + " " * (width - sum(map(_columns, text)))
