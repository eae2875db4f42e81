"""Cuts a text into pieces that fit a model's context, and nothing is lost on the way.

A model is asked for words only: blank lines, indentation and the line ends between paragraphs never reach it, so
they come back byte for byte. `"".join(chunk.before + chunk.text ...) + tail` is the text that was cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

#: Tokens are estimated as UTF-8 bytes / 3, which is on the safe side for the models in use.
BYTES_PER_TOKEN = 3

_WHITE_SPACE = re.compile(r"\s+")
_SENTENCE_ENDS = ".!?…;:。！？"  # noqa: RUF001

#: Tells whether a text may be cut at the white space between `before` and what follows.
Cut = Callable[[str, str], bool]


def _at_blank_lines(_before: str, space: str) -> bool:
    return space.count("\n") > 1


def _at_lines(_before: str, space: str) -> bool:
    return "\n" in space


def _at_sentences(before: str, _space: str) -> bool:
    return before in _SENTENCE_ENDS


def _at_words(_before: str, _space: str) -> bool:
    return True


# Where a paragraph that is too long may be cut, best place first.
_CUTS: tuple[Cut, ...] = (_at_lines, _at_sentences, _at_words)


@dataclass(frozen=True)
class Chunk:
    """`text` is for the model and has no white space at its ends, `before` stands in front of it as it is."""

    before: str
    text: str


@dataclass(frozen=True)
class Document:
    """A text in pieces: the chunks and the white space after the last one."""

    chunks: tuple[Chunk, ...]
    tail: str

    def join(self, translated: Sequence[str]) -> str:
        """The whole text again, with `translated[i]` in the place of the i-th chunk's text."""
        pairs = zip(self.chunks, translated, strict=True)
        return "".join(chunk.before + text for chunk, text in pairs) + self.tail


def split(text: str, *, budget: int) -> Document:
    """Cuts at paragraphs; what is over `budget` tokens at lines, then sentences, then words, then anywhere."""
    chunks: list[Chunk] = []
    before = ""
    for is_text, part in _parts(text, _at_blank_lines):
        if not is_text:
            before += part
            continue
        for piece_is_text, piece in _fit(part, budget, 0):
            if piece_is_text:
                chunks.append(Chunk(before, piece))
                before = ""
            else:
                before += piece
    return Document(tuple(chunks), before)


def tokens(text: str) -> int:
    """Estimated number of tokens."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def _parts(text: str, cut: Cut) -> Iterator[tuple[bool, str]]:
    """(True, words) and (False, white space) in turn; together they are `text`.

    Each run of white space is looked at once: one pattern for a whole separator would try every place in it again.
    """
    inner = text.strip()
    start = text.index(inner) if inner else len(text)
    yield False, text[:start]
    at = 0
    for space in _WHITE_SPACE.finditer(inner):
        if cut(inner[space.start() - 1], space.group()):
            yield True, inner[at : space.start()]
            yield False, space.group()
            at = space.end()
    if inner:
        yield True, inner[at:]
    yield False, text[start + len(inner) :]


def _fit(text: str, budget: int, level: int) -> Iterator[tuple[bool, str]]:
    if tokens(text) <= budget:
        yield True, text
    elif level == len(_CUTS):
        yield from _cut_anywhere(text, budget)
    else:
        for is_text, part in _pack(list(_parts(text, _CUTS[level])), budget):
            if is_text:
                yield from _fit(part, budget, level + 1)
            else:
                yield False, part


def _pack(parts: list[tuple[bool, str]], budget: int) -> Iterator[tuple[bool, str]]:
    """Puts neighbours together again as far as the budget allows: a model translates better what stands together."""
    packed, gap = "", ""
    for is_text, part in parts:
        if not is_text:
            gap += part
        elif packed and tokens(packed + gap + part) <= budget:
            packed, gap = packed + gap + part, ""
        else:
            if packed:
                yield True, packed
            yield False, gap
            packed, gap = part, ""
    if packed:
        yield True, packed
    yield False, gap


def _cut_anywhere(text: str, budget: int) -> Iterator[tuple[bool, str]]:
    # The longest character takes four bytes in UTF-8.
    step = max(1, budget * BYTES_PER_TOKEN // 4)
    for at in range(0, len(text), step):
        yield True, text[at : at + step]
