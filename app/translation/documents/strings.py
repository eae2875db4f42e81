"""Apple's .strings: translate the values; keys, comments and white space stay unchanged."""

from __future__ import annotations

import re

from app.translation.documents.chunks import Builder
from app.translation.documents.errors import Unreadable
from app.translation.documents.messages import Characters, add, joined

_TOKEN = re.compile(
    r"(?P<space>\s++)|(?P<comment>/\*(?:[^*]|\*(?!/))*+\*/|//[^\r\n]*+)"
    r'|(?P<string>"(?:[^"\\]|\\[\s\S])*+")|(?P<word>[\w.$:/-]++)|(?P<separator>[=;])'
)
_CHARACTER = re.compile(r"\\[uU]([0-9A-Fa-f]{4})|\\([0-7]{3})|\\([\s\S])|([\s\S])")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WRITTEN = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# What must follow each token: a key, then the separator, a value, and the end of the pair.
_ORDER = {"key": "=", "=": "value", "value": ";", ";": "key"}
_MAX_EXCERPT = 40


def read(text: str, build: Builder) -> None:
    """Add each value. Raises Unreadable, with the line, for anything but pairs such as `"key" = "value";`."""
    expected = "key"
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        kind = match.lastgroup if match else None
        if match is None or not _fits(kind, match[0], expected):
            line = text.count("\n", 0, at) + 1
            raise Unreadable(
                f"line {line} of the strings has {text[at : at + _MAX_EXCERPT]!r}, where a {expected} was expected: "
                'a pair is "key" = "value";'
            )
        if kind == "string" and expected == "value":
            build.keep('"')
            add(_characters(text, at, match.end()), build, _escaped)
            build.keep('"')
        else:
            build.keep(match[0], "comment" if kind == "comment" else None)
        if kind not in ("space", "comment"):
            expected = _ORDER[expected]
        at = match.end()
    if expected != "key":
        raise Unreadable(f"the strings end where a {expected} was expected: check that the file is complete")


def _fits(kind: str | None, token: str, expected: str) -> bool:
    if kind in ("space", "comment"):
        return True
    return kind in ("string", "word") if expected in ("key", "value") else token == expected


def _characters(text: str, start: int, end: int) -> Characters:
    characters = []
    for match in _CHARACTER.finditer(text, start + 1, end - 1):
        code = int(match[1], 16) if match[1] else int(match[2], 8) if match[2] else None
        char = chr(code) if code is not None else match[4] or _ESCAPES.get(match[3], match[3])
        characters.append((char, match[0]))
    return joined(characters, lambda: f"the string in line {text.count(chr(10), 0, start) + 1} of the strings")


def _escaped(value: str) -> str:
    return "".join(_WRITTEN.get(char, char) for char in value)
