"""Split a text that is too long for a model at the least harmful places: lines, sentences, words, anywhere.

A placeholder is never split: half an address or half a tag could not be protected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from app.translation.documents.placeholders import PROTECTED, protected_spans

#: Tokens are estimated as UTF-8 bytes / 3, which is on the safe side for the models in use.
BYTES_PER_TOKEN = 3

# White space, and the empty string after a sentence of Chinese or Japanese, which have no spaces.
_SPACE = re.compile(r"\s+|(?<=[。！？])(?=[^\s」』”’）])|(?<=[。！？][」』”’）])(?=\S)")  # noqa: RUF001
# Placeholders and the text between them.
_RUNS = re.compile(f"([{PROTECTED}]+)|([^{PROTECTED}]+)")
_SENTENCE_ENDS = ".!?…;:。！？"  # noqa: RUF001

#: Returns whether a text may be split at `space` after the character `before`.
MaySplit = Callable[[str, str], bool]


def _at_lines(_before: str, space: str) -> bool:
    return "\n" in space


def _at_sentences(before: str, space: str) -> bool:
    return not space or before in _SENTENCE_ENDS


def _at_words(_before: str, _space: str) -> bool:
    return True


# Where to split a paragraph that is too long, best place first.
_LEVELS: tuple[MaySplit, ...] = (_at_lines, _at_sentences, _at_words)


def split(text: str, budget: int) -> Iterator[tuple[bool, str]]:
    """Yield (True, words) and (False, unchanged part) that make up `text`; words have at most `budget` tokens.

    Unchanged parts are white space, and placeholders that exceed the budget by themselves.
    """
    inner = text.strip()
    start = text.index(inner) if inner else len(text)
    yield False, text[:start]
    at = start
    for is_text, piece in _fit(protected_spans(inner), budget, 0) if tokens(inner) > budget else [(bool(inner), inner)]:
        yield is_text, text[at : at + len(piece)]
        at += len(piece)
    yield False, text[at:]


def tokens(text: str) -> int:
    """Estimate the number of tokens."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def _parts(text: str, may_split: MaySplit) -> Iterator[tuple[bool, str]]:
    """Yield (True, words) and (False, white space) alternately; together they make up `text`.

    Each run of white space is matched once: one pattern for a whole separator would retry every position in it.
    """
    inner = text.strip()
    start = text.index(inner) if inner else len(text)
    yield False, text[:start]
    at = 0
    for space in _SPACE.finditer(inner):
        if may_split(inner[space.start() - 1], space.group()):
            yield True, inner[at : space.start()]
            yield False, space.group()
            at = space.end()
    if inner:
        yield True, inner[at:]
    yield False, text[start + len(inner) :]


def _fit(text: str, budget: int, level: int) -> Iterator[tuple[bool, str]]:
    if tokens(text) <= budget:
        yield True, text
    elif level == len(_LEVELS):
        yield from _split_anywhere(text, budget)
    else:
        for is_text, part in _pack(list(_parts(text, _LEVELS[level])), budget):
            if is_text:
                yield from _fit(part, budget, level + 1)
            else:
                yield False, part


def _pack(parts: list[tuple[bool, str]], budget: int) -> Iterator[tuple[bool, str]]:
    """Join adjacent parts as far as the budget allows: a model translates better with more context."""
    # Running sums and lists: counting or copying the packed parts again for each part would take quadratic time.
    packed: list[str] = []
    gap: list[str] = []
    packed_bytes = gap_bytes = 0
    for is_text, part in parts:
        size = len(part.encode())
        if not is_text:
            gap.append(part)
            gap_bytes += size
        elif packed and packed_bytes + gap_bytes + size <= budget * BYTES_PER_TOKEN:
            packed += [*gap, part]
            packed_bytes += gap_bytes + size
            gap, gap_bytes = [], 0
        else:
            if packed:
                yield True, "".join(packed)
            yield False, "".join(gap)
            packed, packed_bytes = [part], size
            gap, gap_bytes = [], 0
    if packed:
        yield True, "".join(packed)
    yield False, "".join(gap)


def _split_anywhere(text: str, budget: int) -> Iterator[tuple[bool, str]]:
    # A character takes at most four bytes in UTF-8.
    step = max(1, budget * BYTES_PER_TOKEN // 4)
    parts: list[tuple[bool, str]] = []
    for hidden, run in _RUNS.findall(text):
        if hidden:
            parts.append((tokens(hidden) <= budget, hidden))
        parts += [(True, run[at : at + step]) for at in range(0, len(run), step)]
    yield from _pack(parts, budget)
