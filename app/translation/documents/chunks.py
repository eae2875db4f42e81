"""Chunks of a text, each small enough for a model's context, and how a whole text is made of them again.

A model is asked for words only: blank lines, indentation and the line ends between paragraphs never reach it, so
they come back byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.translation.documents.cuts import cut

#: Turns a translation into what stands in the file.
Write = Callable[[str], str]

_LETTER = re.compile(r"[^\W\d_]")
_LINE_END = re.compile(r"\r\n?|\n")
#: What stands in front of a line and is no part of its words.
INDENTATION = r"[^\S\r\n]*"


@dataclass(frozen=True)
class Chunk:
    """`text` is for the model and has no white space at its ends, `before` stands in front of it as it is.

    source: how `text` stands in the file. write: how a translation of it stands there.
    """

    before: str
    text: str
    source: str
    write: Write

    def written(self, translated: str) -> str:
        """The translation as it stands in the file."""
        return self.source if translated == self.text else self.write(translated)


@dataclass(frozen=True)
class Document:
    """A text in pieces: the chunks and what stands behind the last one."""

    chunks: tuple[Chunk, ...]
    tail: str

    def join(self, translated: Sequence[str]) -> str:
        """The whole text again, with `translated[i]` in the place of the i-th chunk's text."""
        pairs = zip(self.chunks, translated, strict=True)
        return "".join(chunk.before + chunk.written(text) for chunk, text in pairs) + self.tail


class Builder:
    """Makes a document of a text's parts in their order. A chunk has at most `budget` tokens."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._chunks: list[Chunk] = []
        self._before: list[str] = []

    def keep(self, part: str) -> None:
        """This part stays as it is."""
        self._before.append(part)

    def prose(self, part: str, margin: str = INDENTATION) -> None:
        """This part has words; where it has none, it is kept. `margin`: pattern of what stands before its lines."""
        if not has_letters(part):
            self.keep(part)
            return
        start = re.match(margin, part)
        begin = start.end() if start else 0
        self.keep(part[:begin])
        for is_text, piece in cut(part[begin:], self.budget):
            if is_text and has_letters(piece):
                self.put(*_lines(piece, margin))
            else:
                self.keep(piece)

    def put(self, text: str, source: str, write: Write) -> None:
        """One chunk as it is."""
        self._chunks.append(Chunk("".join(self._before), text, source, write))
        self._before = []

    def document(self) -> Document:
        """What was built."""
        return Document(tuple(self._chunks), "".join(self._before))


def _one_line(translated: str) -> str:
    return " ".join(line for line in _LINE_END.split(translated) if line.strip())


def has_letters(text: str) -> bool:
    """Whether there is anything to translate."""
    return bool(_LETTER.search(text))


def _lines(source: str, margin: str) -> tuple[str, str, Write]:
    """The lines of `source` without their margins, and how lines are written with them.

    A translation never brings blank lines in: they would end a paragraph, a quotation, a subtitle.
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
