"""Java's .properties: translate the values; keys, separators, comments and line ends stay unchanged."""

from __future__ import annotations

import re

from app.translation.documents.chunks import Builder
from app.translation.documents.errors import Unreadable
from app.translation.documents.messages import Characters, add, joined

_COMMENT = re.compile(r"[ \t\f]*[#!][^\r\n]*(?:\r\n?|\n|\Z)")
# A key with its separator, and a value with its continuation lines.
_KEY = re.compile(r"[ \t\f]*+(?:[^\s\\:=]|\\(?:\r\n|[\s\S]))*+[ \t\f]*+[:=]?[ \t\f]*+")
_VALUE = re.compile(r"(?:[^\r\n\\]|\\(?:\r\n|[\s\S]))*+")
# Consecutive line continuations match as one and belong to the character before them.
_CHARACTER = re.compile(r"(?:\\(?:\r\n?|\n)[ \t\f]*+)++|\\u([0-9A-Fa-f]{4})|\\([\s\S]?)|([\s\S])")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_WRITTEN = {"\\": "\\\\", **{char: f"\\{name}" for name, char in _ESCAPES.items()}}


def read(text: str, build: Builder) -> None:
    """Add each value. Raises Unreadable, with the line, for an invalid escape.

    In an ASCII file, other letters are written as escapes: older readers decode such a file as Latin-1.
    """
    is_ascii = text.isascii()

    def escaped(value: str) -> str:
        return "".join(_WRITTEN.get(char) or (_escape(char) if is_ascii else char) for char in value)

    at = 0
    while at < len(text):
        if comment := _COMMENT.match(text, at):
            build.keep(comment[0], "comment")
            at = comment.end()
            continue
        start = _end(_KEY, text, at)
        end = _end(_VALUE, text, start)
        build.keep(text[at:start])
        if end > start:
            blanks, characters = _characters(text, start, end)
            build.keep(blanks)
            add(characters, build, escaped)
        # The end of the line.
        build.keep(text[end : end + 1])
        at = end + 1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _characters(text: str, start: int, end: int) -> tuple[str, Characters]:
    """Return the prefix before the first character, and the characters with the line continuations after them."""
    first = ""
    characters: list[tuple[str, str]] = []
    for match in _CHARACTER.finditer(text, start, end):
        char = chr(int(match[1], 16)) if match[1] else match[3]
        if match[2] == "u":
            raise Unreadable(f"{_place(text, match.start())} has \\u without four hexadecimal digits")
        if match[2] is not None:
            char = _ESCAPES.get(match[2], match[2])
        if char:
            characters.append((char, match[0]))
        elif characters:
            characters[-1] = characters[-1][0], characters[-1][1] + match[0]
        else:
            first += match[0]
    return first, joined(characters, lambda: _place(text, start))


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1} of the properties"


def _escape(char: str) -> str:
    if char.isascii():
        return char
    data = char.encode("utf-16-be")
    return "".join(f"\\u{data[at : at + 2].hex()}" for at in range(0, len(data), 2))
