"""Split a text into chunks small enough for a model's context, and join the translated chunks into a text.

The model receives words only: blank lines, indentation and the line ends between paragraphs are never sent, so
they are preserved byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.translation.documents.errors import TooManyParts
from app.translation.documents.splitter import split
from app.translation.documents.untranslated import Untranslated

#: Encodes a translation as it is written in the file.
Write = Callable[[str], str]

_LETTER = re.compile(r"[^\W\d_]")
_LINE_END = re.compile(r"\r\n?|\n")
#: White space before the words of a line.
INDENTATION = r"[^\S\r\n]*"


@dataclass(frozen=True)
class Chunk:
    """`text` is sent to the model and has no white space at its ends; `before` precedes it and stays unchanged.

    source: `text` as encoded in the file. write: encodes a translation of it for the file.
    """

    before: str
    text: str
    source: str
    write: Write

    def written(self, translated: str) -> str:
        """Encode the translation for the file."""
        return self.source if translated == self.text else self.write(translated)


@dataclass(frozen=True)
class Flaw:
    """A defect in a place of the text that stays unchanged. part: the chunk that follows it, counted from 1."""

    part: int
    kind: str
    detail: str
    source: str


@dataclass(frozen=True)
class Document:
    """A text as its chunks and the tail after the last chunk.

    untranslated: the parts that stay unchanged on purpose, without those hidden within the chunks.
    """

    chunks: tuple[Chunk, ...]
    tail: str
    untranslated: Untranslated
    flaws: tuple[Flaw, ...] = ()

    def join(self, translated: Sequence[str]) -> str:
        """Return the whole text with `translated[i]` in place of the i-th chunk's text."""
        pairs = zip(self.chunks, translated, strict=True)
        return "".join(chunk.before + chunk.written(text) for chunk, text in pairs) + self.tail


class Builder:
    """Build a document from a text's parts in order. A chunk has at most `budget` tokens.

    max_parts: raise TooManyParts when there are more chunks than this; None for no limit.
    """

    def __init__(self, budget: int, untranslated: Untranslated | None = None, *, max_parts: int | None = None) -> None:
        self.budget = budget
        self.max_parts = max_parts
        self.untranslated = untranslated or Untranslated()
        self._flaws: list[Flaw] = []
        self._chunks: list[Chunk] = []
        self._before: list[str] = []

    def inner(self) -> Builder:
        """Return a builder for the parts of a single value, with the same limits and the same untranslated counts."""
        return Builder(self.budget, self.untranslated, max_parts=self.max_parts)

    def keep(self, part: str, why: str | None = None) -> None:
        """Keep a part unchanged. why: the reason reported to clients, for parts that can contain words."""
        self._before.append(part)
        if why:
            self.untranslated.add(why, part)

    def flaw(self, kind: str, detail: str, source: str) -> None:
        """Record a defect in the part that is kept next."""
        self._flaws.append(Flaw(len(self._chunks) + 1, kind, detail, source))

    def prose(self, part: str, margin: str = INDENTATION) -> None:
        """Add a part for translation; keep it if it has no letters. margin: pattern of the margin of its lines."""
        if not has_letters(part):
            self.keep(part)
            return
        start = re.match(margin, part)
        begin = start.end() if start else 0
        self.keep(part[:begin])
        for is_text, piece in split(part[begin:], self.budget):
            if is_text and has_letters(piece):
                self.put(*_lines(piece, margin))
            else:
                self.keep(piece)

    def put(self, text: str, source: str, write: Write) -> None:
        """Add one chunk without splitting it. Raises TooManyParts."""
        if self.max_parts is not None and len(self._chunks) >= self.max_parts:
            raise TooManyParts(self.max_parts)
        self._chunks.append(Chunk("".join(self._before), text, source, write))
        self._before = []

    def document(self) -> Document:
        """Return the document."""
        return Document(tuple(self._chunks), "".join(self._before), self.untranslated, tuple(self._flaws))


def _one_line(translated: str) -> str:
    return " ".join(line for line in _LINE_END.split(translated) if line.strip())


def has_letters(text: str) -> bool:
    """Return whether the text has anything to translate."""
    return bool(_LETTER.search(text))


def _lines(source: str, margin: str) -> tuple[str, str, Write]:
    """Return the lines of `source` without their margins, the source, and a function that adds the margins again.

    The function drops blank lines from a translation: they would end a paragraph, a quotation, a subtitle.
    """
    if "\n" not in source and "\r" not in source:
        return source, source, _one_line
    first, *rest = re.split(rf"(\r\n?|\n)({margin}(?=\S)|)", source)
    ends, margins, lines = rest[0::3], rest[1::3], [first, *rest[2::3]]

    def write(translated: str) -> str:
        written = [line for line in _LINE_END.split(translated) if line.strip()]
        last = len(ends) - 1
        return "".join(written[:1]) + "".join(
            ends[min(at, last)] + margins[min(at, last)] + line for at, line in enumerate(written[1:])
        )

    return "\n".join(lines), source, write
