"""Text from messages on a terminal: cut to its width, and without the power to act on it."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

# Where nobody says how wide the terminal is, for example in a pipe.
FALLBACK_WIDTH = 160
# Below this a command is over before anybody could read how far it is.
SHORTEST_REPORTED = 1000


def escaped(text: str) -> str:
    """One line in which everything that a terminal would act on stands as Python writes it (\\n, \\x1b, \\u202e)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def lines(text: str) -> list[str]:
    """The lines of a longer text, each escaped."""
    return [escaped(line.expandtabs(4)) for line in text.split("\n")]


def fitted(text: str, width: int) -> str:
    """The text in exactly so many columns: filled up with spaces, or cut with an ellipsis."""
    taken = 0
    shown: list[str] = []
    for char in text:
        taken += _columns(char)
        if taken > width:
            return _cut(shown, width)
        shown.append(char)
    return text + " " * (width - taken)


def width() -> int:
    """The columns of the terminal."""
    return shutil.get_terminal_size((FALLBACK_WIDTH, 24)).columns


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told of each step: a bar on a terminal, elsewhere a line for each tenth of many."""
    if sys.stdout.isatty():
        with click.progressbar(length=total, label=label, show_pos=True) as bar:
            yield bar.update
        return
    done = tenths = 0

    def advance(count: int) -> None:
        nonlocal done, tenths
        done += count
        if total >= SHORTEST_REPORTED and done * 10 // total > tenths:
            tenths = done * 10 // total
            click.echo(f"{label}: {done:,} of {total:,}")

    yield advance


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cut(shown: list[str], width: int) -> str:
    """What fits beside the ellipsis, of characters that all fitted."""
    while shown and sum(map(_columns, shown)) > width - 1:
        shown.pop()
    text = "".join(shown) + "…"
    return text + " " * (width - sum(map(_columns, text)))
