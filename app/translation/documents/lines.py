"""What a single line may be, in a plain text and in Markdown alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from app.translation.documents.chunks import INDENTATION, Builder
from app.translation.documents.masks import opaque

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})(.*)")
_PIPE = re.compile(r"\||\\.")
_PIPES_APART = re.compile(r"^\||\|$|\s\|\s")
# What separates the cells of a table, and the dots from a title to its page, which make models go round in circles.
_SEPARATOR = re.compile(
    r"\t+| {3,}|[.·]{5,}|…{2,}|(?:[.·] ){3,}[.·]?|(?<!\S)(?:[-=_*~#+–—]{4,}|(?:[-=_*~] ){2,}[-=_*~])(?!\S)"  # noqa: RUF001
)


def lines_of(text: str) -> list[str]:
    """The lines with their ends, which are those of Windows, Unix or the old Macs."""
    return _LINE.findall(text)


def add_paragraph(lines: Iterable[str], build: Builder, margin: str = INDENTATION) -> None:
    """Adds lines that belong together as one piece of prose, and those that consist of cells each for itself.

    margin: the pattern of what stands before each line and is none of its words.
    """
    lines = list(lines)
    prose: list[str] = []
    for line, seen in zip(lines, _seen(lines), strict=True):
        start = re.match(margin, line)
        begin = start.end() if start else 0
        separators = _separators(seen[begin : len(line.rstrip())])
        if separators:
            build.prose("".join(prose), margin)
            prose.clear()
            build.keep(line[:begin])
            _add_cells(line[begin:], separators, build)
        else:
            prose.append(line)
    build.prose("".join(prose), margin)


def _seen(lines: Sequence[str]) -> Iterator[str]:
    """The lines in which separators are looked for: the bar of `ls | sort` or {{ name | title }} is none."""
    text = "".join(lines)
    if "|" in text or _SEPARATOR.search(text):
        text = opaque(text)
    at = 0
    for line in lines:
        yield text[at : at + len(line)]
        at += len(line)


def add_row(line: str, build: Builder, margin: str) -> None:
    """Adds a line of a Markdown table."""
    start = re.match(margin, line)
    begin = start.end() if start else 0
    build.keep(line[:begin])
    _add_cells(line[begin:], _pipes(line[begin:].strip()), build)


def _add_cells(line: str, separators: Sequence[tuple[int, int]], build: Builder) -> None:
    body = line.strip()
    start = line.index(body)
    build.keep(line[:start])
    at = 0
    for begin, end in separators:
        build.prose(body[at:begin])
        build.keep(body[begin:end])
        at = end
    build.prose(body[at:])
    build.keep(line[start + len(body) :])


def _separators(body: str) -> list[tuple[int, int]]:
    """Where the separators are in a line without white space at its ends; none when it is no line of cells."""
    if _PIPES_APART.search(body):
        return _pipes(body)
    return [match.span() for match in _SEPARATOR.finditer(body)]


def _pipes(body: str) -> list[tuple[int, int]]:
    return [match.span() for match in _PIPE.finditer(body) if match[0] == "|"]


class Fences:
    """Finds where fenced code ends."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        # The shortest fence of each kind that is known to be never closed again.
        self._open_for_ever: dict[str, int] = {}

    def end(self, at: int) -> int:
        """The number of the line behind the fenced code that begins with line `at`; `at` where none does."""
        line = self._lines[at]
        opening = _FENCE.match(line) if "```" in line or "~~~" in line else None
        if not opening:
            return at
        kind, length = opening[1][0], len(opening[1])
        if length >= self._open_for_ever.get(kind, length + 1):
            return at
        for number in range(at + 1, len(self._lines)):
            line = self._lines[number].strip()
            if len(line) >= length and not line.strip(kind):
                return number + 1
        self._open_for_ever[kind] = length
        return at
