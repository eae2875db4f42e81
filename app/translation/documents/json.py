"""JSON: translate the strings; keys, numbers, white space and structure stay unchanged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import islice, zip_longest
from typing import NoReturn

from app.translation.documents import text as plain
from app.translation.documents.chunks import Builder, Chunk, Write, has_letters
from app.translation.documents.errors import Unreadable

MAX_DEPTH = 100
_LEVELS = {"[": 1, "{": 1, "]": -1, "}": -1}

# In JSON, quotation marks occur only around strings. The last string may be unterminated.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?')
# One character of a string as written in the file.
_CHARACTER = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]")
# An unpaired surrogate is not a character and cannot be sent.
_HALVES = re.compile(r"([\ud800-\udfff]+)")


def read(text: str, build: Builder) -> None:
    """Add the text of each value that is a string. Raises Unreadable, with the place, if the text is not JSON."""
    _check(text)
    at = 0
    places = _Places(text)
    for match in _STRING.finditer(text):
        if match[2] is None:
            build.keep(text[at : match.start(1)])
            _add(match[1], lambda: places.of(match.start()), build)  # noqa: B023
            at = match.end(1)
    build.keep(text[at:])


def _check(text: str) -> None:
    # The standard library's parser recurses for each level.
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        depth += _LEVELS.get(match[0], 0)
        if depth > MAX_DEPTH:
            place = _Places(text).of(match.start())
            raise Unreadable(f"{place} of the JSON is nested deeper than the maximum of {MAX_DEPTH} levels")
    try:
        # A long number is harmless as long as it is not converted.
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise Unreadable(f"{_Places(text).of(error.pos)} of the JSON is invalid: {error.msg.lower()}") from error
    if not isinstance(value, (dict, list)):
        raise Unreadable("the JSON is a single value: expected an object or an array with strings in it")


def _refuse(name: str) -> NoReturn:
    raise Unreadable(f"the JSON contains {name}, which is not a JSON number")


class _Places:
    """Find the line and column of places in ascending order, counting lines once, so that all take one pass."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._before = -1  # the line end before the line of `at`

    def of(self, at: int) -> str:
        """Return the line and column, counted from 1, of a place at or after the previous one."""
        self._line += self._text.count("\n", self._at, at)
        self._before = max(self._before, self._text.rfind("\n", self._at, at))
        self._at = at
        return f"line {self._line}, column {at - self._before}"


def _add(raw: str, place: Callable[[], str], build: Builder) -> None:
    """Add one string; `raw` is the source between its quotation marks, and `place` returns its position."""
    value = json.loads(f'"{raw}"') if "\\" in raw else raw
    texts, halves = _HALVES.split(value)[::2], _HALVES.findall(value)
    if halves:
        build.flaw("unicode", f"the string at {place()} has an unpaired surrogate, which is not a character", raw)
    if not has_letters(value):
        build.keep(raw)
        return
    inner = build.inner()
    for part, half in zip_longest(texts, halves, fillvalue=""):
        plain.read(part, inner)
        inner.keep(half)
    raw_of = _raw_reader(raw)
    for chunk in inner.document().chunks:
        build.keep(raw_of(chunk.before))
        build.put(chunk.text, raw_of(chunk.source), _escaped(chunk))
    build.keep(raw_of(inner.document().tail))


def _escaped(chunk: Chunk) -> Write:
    return lambda translated: json.dumps(chunk.written(translated), ensure_ascii=False)[1:-1]


def _raw_reader(raw: str) -> Callable[[str], str]:
    """Return a function that maps each next part of a string's value to its source in the file."""
    characters = iter(_CHARACTER.findall(raw))
    return lambda part: "".join(islice(characters, len(part)))
