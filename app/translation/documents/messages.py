"""Shared code of message files: values with escapes, each of them one chunk if it fits the budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from app.translation.documents import text as plain
from app.translation.documents.chunks import Builder, Chunk, has_letters
from app.translation.documents.errors import Unreadable
from app.translation.documents.splitter import tokens

#: The characters of a value, each with its source in the file.
Characters = Sequence[tuple[str, str]]

_HALF = re.compile(r"[\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?")


@dataclass(frozen=True)
class Pieces:
    """A value as chunks and the tail after the last one; without chunks if there is nothing to translate."""

    chunks: Sequence[Chunk]
    tail: str


def pieces(value: str, build: Builder) -> Pieces:
    """Split a value: one chunk if it fits the budget, whatever its lines, else the chunks of a plain text.

    build: the builder whose limits apply to this value as well. Raises TooManyParts.
    """
    if not has_letters(value):
        return Pieces([], value)
    body = value.strip()
    if tokens(body) <= build.budget:
        start = value.index(body)
        chunk = Chunk(value[:start], _LINE_END.sub("\n", body), body, lambda translated: translated)
        return Pieces([chunk], value[start + len(body) :])
    inner = build.inner()
    plain.read(value, inner)
    document = inner.document()
    return Pieces(document.chunks, document.tail)


def add(characters: Characters, build: Builder, escaped: Callable[[str], str]) -> None:
    """Add one value; untranslated parts keep their source. escaped: escapes a text for the file."""
    found = pieces("".join(char for char, _ in characters), build)
    raws = iter([raw for _, raw in characters])

    def raw_of(part: str) -> str:
        return "".join(islice(raws, len(part)))

    for chunk in found.chunks:
        build.keep(raw_of(chunk.before))
        build.put(chunk.text, raw_of(chunk.source), _writer(chunk, escaped))
    build.keep(raw_of(found.tail))


def _writer(chunk: Chunk, escaped: Callable[[str], str]) -> Callable[[str], str]:
    return lambda translated: escaped(chunk.write(translated))


def joined(characters: Characters, where: Callable[[], str]) -> Characters:
    """Join each surrogate pair into one character. Raises Unreadable, with `where`, for an unpaired surrogate."""
    whole: list[tuple[str, str]] = []
    for char, raw in characters:
        if whole and "\ud800" <= whole[-1][0] < "\udc00" and "\udc00" <= char < "\ue000":
            first, before = whole.pop()
            whole.append(((first + char).encode("utf-16", "surrogatepass").decode("utf-16"), before + raw))
        else:
            whole.append((char, raw))
    if any(_HALF.match(char) for char, _ in whole):
        raise Unreadable(f"{where()} has an unpaired surrogate: write both halves of the pair, or the character itself")
    return whole
