"""JSON: the strings are for the model; keys, numbers, white space and structure stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import islice
from typing import NoReturn

from app.translation.documents import text as plain
from app.translation.documents.chunks import Builder, Chunk, Write, has_letters
from app.translation.documents.errors import Unreadable

MAX_DEPTH = 100
_LEVELS = {"[": 1, "{": 1, "]": -1, "}": -1}

# In JSON there are quotation marks around strings and nowhere else. The last one may have no end.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?')
# What stands for one character.
_SIGN = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def read(text: str, build: Builder) -> None:
    """Adds the text of each value that is a string. Raises Unreadable, naming the place, for what is no JSON."""
    _check(text)
    at = 0
    for match in _STRING.finditer(text):
        if match[2] is None:
            build.keep(text[at : match.start(1)])
            _add(match[1], build)
            at = match.end(1)
    build.keep(text[at:])


def _check(text: str) -> None:
    # The standard library's parser calls itself for each level.
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        depth += _LEVELS.get(match[0], 0)
        if depth > MAX_DEPTH:
            place = _place(text, match.start())
            raise Unreadable(f"{place} of the JSON is nested deeper than {MAX_DEPTH} levels: no more are allowed")
    try:
        # The length of a number is nothing to worry about as long as nobody turns it into one.
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise Unreadable(f"{_place(text, error.pos)} of the JSON cannot be read: {error.msg.lower()}") from error
    if not isinstance(value, (dict, list)):
        raise Unreadable("the JSON is a single value: give an object or an array with strings in it")


def _refuse(name: str) -> NoReturn:
    raise Unreadable(f"the JSON has the number {name}, which JSON does not know")


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _add(raw: str, build: Builder) -> None:
    """Adds one string; `raw` is what stands between its quotation marks."""
    value = json.loads(f'"{raw}"') if "\\" in raw else raw
    if not has_letters(value) or _SURROGATE.search(value):
        build.keep(raw)
        return
    inner = Builder(build.budget)
    plain.read(value, inner)
    raw_of = _cutter(raw)
    for chunk in inner.document().chunks:
        build.keep(raw_of(chunk.before))
        build.put(chunk.text, raw_of(chunk.source), _escaped(chunk))
    build.keep(raw_of(inner.document().tail))


def _escaped(chunk: Chunk) -> Write:
    return lambda translated: json.dumps(chunk.written(translated), ensure_ascii=False)[1:-1]


def _cutter(raw: str) -> Callable[[str], str]:
    """Gives, for each next part of a string's value, what stands for it in the file."""
    signs = iter(_SIGN.findall(raw))
    return lambda part: "".join(islice(signs, len(part)))
