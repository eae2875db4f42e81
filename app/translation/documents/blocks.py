"""Blocks of Markdown outside CommonMark: front matter, formulas, and containers with indented contents."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from app.translation.documents.lines import Fences

_YAML_LINE = re.compile(r"""(?:[\w.-]+|"[^"]*"|'[^']*')[ \t]*:(?:\s|$)""")
_YAML_MORE = re.compile(r"[\s#\-\]})]|$")
_TOML_LINE = re.compile(r"""(?:[\w.-]+|"[^"]*"|'[^']*')[ \t]*=|\[\[?[^\[\]]+\]\]?\s*$""")
_TOML_MORE = re.compile(r"[\s#\]}]|\"\"\"|'''|$")
# For each opening line: the closing lines, the pattern of a main line, and the pattern of how other lines begin.
_FRONT_MATTER = {
    "---": (("---", "..."), _YAML_LINE, _YAML_MORE),
    "+++": (("+++",), _TOML_LINE, _TOML_MORE),
    ";;;": ((";;;",), re.compile(r"\s*[{}]"), re.compile(r"\s|$")),
}

# MkDocs admonitions, collapsible admonitions and tabs.
_CONTAINER = re.compile(r'[ \t]*(?:(?:!!!|\?\?\?\+?)[ \t]+["\w-]|===[!+]?[ \t]+")')
_INDENT = 4
_DOLLARS = "$$"
_MATHS = {_DOLLARS: _DOLLARS, "\\[": "\\]"}
_BEGIN = re.compile(r"\s{0,9}\\begin\{([A-Za-z]{1,32}\*?)\}")
_END = re.compile(r"\\end\{([A-Za-z]{1,32}\*?)\}\s*$")


def front_matter(lines: Sequence[str]) -> int:
    """Count the lines of front matter. A thematic break is none: it is followed by a blank line or prose."""
    if len(lines) < 2 or not lines[1].strip():
        return 0
    ends, main, more = _FRONT_MATTER.get(lines[0].rstrip(), ((), None, None))
    end = next((number for number, line in enumerate(lines) if number and line.rstrip() in ends), 0)
    inner = lines[1:end]
    if not end or not main or not more or not (end == 1 or any(main.match(line) for line in inner)):
        return 0
    return end + 1 if all(main.match(line) or more.match(line) for line in inner) else 0


def parser_view(lines: Sequence[str]) -> tuple[list[str], dict[int, str]]:
    """Return the lines as a CommonMark parser should see them, and the reason for each line hidden from it.

    The number of lines is the same. Formulas become blank lines; the contents of containers move four columns left.
    """
    seen, whys = list(lines), dict[int, str]()
    fences, ends = Fences(lines), _FormulaEnds(lines)
    levels: list[int] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        levels = _still_open(levels, line)
        after = fences.end(at)
        is_maths = after == at
        after = ends.after(at) if is_maths else after
        is_maths = is_maths and after > at
        for number in range(at, max(after, at + 1)):
            seen[number] = _line_end(lines[number]) if is_maths else _dedented(lines[number], _INDENT * len(levels))
            if is_maths:
                whys[number] = "maths"
        if after == at and _CONTAINER.match(line):
            levels.append(_columns(line))
        at = max(after, at + 1)
    return seen, whys


class _FormulaEnds:
    """Find where blocks of formulas end."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        # For each closing marker, the numbers of its lines.
        self._ends: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            if name := _ending(line):
                self._ends.setdefault(name, []).append(number)

    def after(self, at: int) -> int:
        """Return the number of the line after the block that begins at line `at`, or `at` if no block begins there."""
        name = _beginning(self._lines[at])
        numbers = self._ends.get(name, [])
        # A block between dollar signs has the same opening and closing line.
        found = bisect_left(numbers, at + 1 if name == _DOLLARS else at)
        return numbers[found] + 1 if name and found < len(numbers) else at


def _beginning(line: str) -> str:
    """Return the marker that closes the formula beginning at a line, or an empty string if none begins."""
    if match := _BEGIN.match(line):
        return match[1]
    return _MATHS.get(line.strip(), "")


def _ending(line: str) -> str:
    if "\\end{" in line and (match := _END.search(line)):
        return match[1]
    return line.strip() if line.strip() in _MATHS.values() else ""


def _still_open(levels: list[int], line: str) -> list[int]:
    """Return the columns of the containers that the line is still inside."""
    if not line.strip():
        return levels
    columns = _columns(line)
    return [level for level in levels if columns >= level + _INDENT]


def _columns(line: str) -> int:
    inner = line.lstrip(" \t")
    return len(line[: len(line) - len(inner)].expandtabs(_INDENT))


def _dedented(line: str, columns: int) -> str:
    if not columns:
        return line
    indent = line[: len(line) - len(line.lstrip(" \t"))].expandtabs(_INDENT)
    return indent[columns:] + line.lstrip(" \t")


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
