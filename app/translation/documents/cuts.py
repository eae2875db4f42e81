"""Cuts a text that is too long for a model where it hurts least: at lines, sentences, words, anywhere.

Never within a placeholder: half an address or half a tag could not be hidden from the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from app.translation.documents.masks import OPAQUE, opaque

#: Tokens are estimated as UTF-8 bytes / 3, which is on the safe side for the models in use.
BYTES_PER_TOKEN = 3

# White space, and nothing behind a sentence of Chinese or Japanese, which need none.
_SPACE = re.compile(r"\s+|(?<=[。！？])(?=[^\s」』”’）])|(?<=[。！？][」』”’）])(?=\S)")  # noqa: RUF001
# Placeholders and what stands between them.
_RUNS = re.compile(f"([{OPAQUE}]+)|([^{OPAQUE}]+)")
_SENTENCE_ENDS = ".!?…;:。！？"  # noqa: RUF001

#: Tells whether a text may be cut at the space between `before` and what follows.
Cut = Callable[[str, str], bool]


def _at_lines(_before: str, space: str) -> bool:
    return "\n" in space


def _at_sentences(before: str, space: str) -> bool:
    return not space or before in _SENTENCE_ENDS


def _at_words(_before: str, _space: str) -> bool:
    return True


# Where a paragraph that is too long may be cut, best place first.
_CUTS: tuple[Cut, ...] = (_at_lines, _at_sentences, _at_words)


def cut(text: str, budget: int) -> Iterator[tuple[bool, str]]:
    """(True, words) and (False, what stays as it is) that make up `text`; words are at most `budget` tokens.

    What stays is white space, and a placeholder that is too long by itself.
    """
    inner = text.strip()
    start = text.index(inner) if inner else len(text)
    yield False, text[:start]
    at = start
    for is_text, piece in _fit(opaque(inner), budget, 0) if tokens(inner) > budget else [(bool(inner), inner)]:
        yield is_text, text[at : at + len(piece)]
        at += len(piece)
    yield False, text[at:]


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
    for space in _SPACE.finditer(inner):
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
    parts: list[tuple[bool, str]] = []
    for hidden, run in _RUNS.findall(text):
        if hidden:
            parts.append((tokens(hidden) <= budget, hidden))
        parts += [(True, run[at : at + step]) for at in range(0, len(run), step)]
    yield from _pack(parts, budget)
