"""Detect a model that repeats itself, as small models do up to their limit of tokens.

The time is linear in the text's length: each period up to a fixed maximum takes one pass.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from operator import eq

from app.translation.engine.scripts import UNSPACED

# Maximum words of a repeated phrase; longer ones are detected as sentences.
MAX_PERIOD = 40
# Phrases are also repeated on purpose; from this many times and words on they are not.
MIN_TIMES = 4
MIN_WORDS = 16
MIN_SENTENCES = 4
# Minimum words of a sentence.
_MIN_SENTENCE_WORDS = 3

# Long words are split: a model can repeat itself without spaces.
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]{{1,20}}")
_SENTENCE_END = re.compile(r"[.!?。！？…\n]+")  # noqa: RUF001


def has_repetition(source: str, answer: str) -> bool:
    """Return whether the answer repeats itself and the source does not."""
    words, of_source = _WORD.findall(answer.casefold()), _WORD.findall(source.casefold())
    run = _longest_run(words)
    if run >= MIN_WORDS and run > 2 * _longest_run(of_source):
        return True
    times = _most_repeated(answer, share_of=len(words))
    return times >= MIN_SENTENCES and times > 2 * _most_repeated(source)


def _longest_run(words: list[str]) -> int:
    """Count the words of the longest run of one phrase repeated at least MIN_TIMES times in a row."""
    longest = 0
    for period in range(1, min(MAX_PERIOD, len(words) // MIN_TIMES) + 1):
        for same, run in groupby(map(eq, words, words[period:])):
            length = sum(1 for _ in run) + period if same else 0
            if length >= MIN_TIMES * period:
                longest = max(longest, length)
    return longest


def _most_repeated(text: str, *, share_of: int = 0) -> int:
    """Count the most frequent sentence of those that make up a third of `share_of` words."""
    sentences = (tuple(_WORD.findall(sentence)) for sentence in _SENTENCE_END.split(text.casefold()))
    counts = Counter(sentence for sentence in sentences if len(sentence) >= _MIN_SENTENCE_WORDS)
    return max((times for sentence, times in counts.items() if 3 * times * len(sentence) >= share_of), default=0)
