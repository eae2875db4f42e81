"""Kinds of lines that plain text and Markdown share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from app.translation.documents.chunks import INDENTATION, Builder
from app.translation.documents.placeholders import protected_spans

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})(.*)")
_PIPE = re.compile(r"\||\\.")
_PIPES_APART = re.compile(r"^\||\|$|\s\|\s")
# Separators of table cells, and the dots from a title to its page number, which make models repeat themselves.
_SEPARATOR = re.compile(
    r"\t+| {3,}|[.·]{5,}|…{2,}|(?:[.·] ){3,}[.·]?|(?<!\S)(?:[-=_*~#+–—]{4,}|(?:[-=_*~] ){2,}[-=_*~])(?!\S)"  # noqa: RUF001
)


def lines_of(text: str) -> list[str]:
    """Split a text into lines that keep their ends: CRLF, LF or CR."""
    return _LINE.findall(text)


def add_paragraph(lines: Iterable[str], build: Builder, margin: str = INDENTATION) -> None:
    """Add the lines of a paragraph as one piece of prose, and each line of cells separately.

    margin: the pattern of the margin before the words of each line.
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
    """Yield the lines in which to search for separators: the bar of `ls | sort` or {{ name | title }} is none."""
    text = "".join(lines)
    if "|" in text or _SEPARATOR.search(text):
        text = protected_spans(text)
    at = 0
    for line in lines:
        yield text[at : at + len(line)]
        at += len(line)


def add_row(line: str, build: Builder, margin: str) -> None:
    """Add a line of a Markdown table."""
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
    """Return the separators' positions in a line without white space at its ends; none if it has no cells."""
    if _PIPES_APART.search(body):
        return _pipes(body)
    return [match.span() for match in _SEPARATOR.finditer(body)]


def _pipes(body: str) -> list[tuple[int, int]]:
    return [match.span() for match in _PIPE.finditer(body) if match[0] == "|"]


class Fences:
    """Find where fenced code ends."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        # For each kind: the longest closing fence at this line or after it. Computed at the first opening fence.
        self._longest: dict[str, list[int]] = {}

    def end(self, at: int) -> int:
        """Return the number of the line after the fenced code that begins at line `at`, or `at` if none begins."""
        line = self._lines[at]
        opening = _FENCE.match(line) if "```" in line or "~~~" in line else None
        if not opening:
            return at
        kind, length = opening[1][0], len(opening[1])
        longest = self._longest_from(kind)
        if longest[at + 1] < length:
            return at
        # A closing fence exists, and reading continues after it, so no line is checked twice.
        return next(number + 1 for number in range(at + 1, len(self._lines)) if self._closes(number, kind) >= length)

    def _longest_from(self, kind: str) -> list[int]:
        """Return, for each line and the end, the length of the longest closing fence from there on, in one pass."""
        if kind not in self._longest:
            longest = [0]
            for number in range(len(self._lines) - 1, -1, -1):
                longest.append(max(longest[-1], self._closes(number, kind)))
            self._longest[kind] = longest[::-1]
        return self._longest[kind]

    def _closes(self, number: int, kind: str) -> int:
        """Return the length of the fence if the line is only a fence, else 0."""
        line = self._lines[number].strip()
        return 0 if line.strip(kind) else len(line)
