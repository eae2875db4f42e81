"""Check a text without building a document: its format, its number of parts, and words to detect its language by."""

from __future__ import annotations

import re

from app.translation.documents.chunks import Builder, Write, has_letters
from app.translation.documents.errors import TooManyParts
from app.translation.documents.lines import Fences, lines_of

# Characters of a text that are kept to detect its language by.
SAMPLE = 16_384
# The beginning of a separate block of Markdown: list items, headings.
_BLOCK = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)]|#{1,6})[ \t]+\S")
_BLANK = re.compile(r"[\s>]*")


class Survey(Builder):
    """A Builder that keeps only a sample of words from all over the text."""

    def __init__(self, budget: int, max_parts: int) -> None:
        super().__init__(budget, max_parts=max_parts)
        self._parts = 0
        self._sample: list[str] = []
        self._size = 0
        self._step = 1

    def keep(self, part: str, why: str | None = None) -> None:
        """Discard the part."""

    def flaw(self, kind: str, detail: str, source: str) -> None:
        """Discard the flaw."""

    def put(self, text: str, source: str, write: Write) -> None:
        """Count the chunk and perhaps sample it. Raises TooManyParts."""
        if self.max_parts is not None and self._parts >= self.max_parts:
            raise TooManyParts(self.max_parts)
        if self._parts % self._step == 0:
            self._sample.append(text)
            self._size += len(text)
        self._parts += 1
        while self._size > SAMPLE and len(self._sample) > 1:
            # Drop every second one, so that the sample still comes from all over the text.
            self._sample = self._sample[::2]
            self._step *= 2
            self._size = sum(map(len, self._sample))

    def words(self) -> str:
        """Return the sample."""
        return "\n\n".join(self._sample)


def check_parts(text: str, limit: int) -> None:
    """Count the parts of a Markdown text by its lines, in linear time and without a parser. Raises TooManyParts.

    Fenced code and lines that continue a paragraph do not count.
    """
    lines = lines_of(text)
    fences = Fences(lines)
    at = parts = 0
    after_blank = True
    while at < len(lines):
        line, after = lines[at], fences.end(at)
        blank = after > at or bool(_BLANK.fullmatch(line))
        if not blank and has_letters(line):
            parts += line.count("|") + (after_blank or bool(_BLOCK.match(line)))
        if parts > limit:
            raise TooManyParts(limit)
        after_blank, at = blank, max(after, at + 1)
