"""Finds a model that says the same again and again, which small ones do until their limit.

Time grows with the text's length alone: every period up to a fixed one is looked for in one pass.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from operator import eq

from app.translation.engine.scripts import UNSPACED

# Words of the longest phrase whose repetition is looked for; longer ones are found as sentences.
LONGEST_PERIOD = 40
# A phrase is repeated on purpose, too; from this many times and words on it is not.
LEAST_TIMES = 4
LEAST_WORDS = 16
LEAST_SENTENCES = 4
# Words of a sentence that counts as one.
_SENTENCE_WORDS = 3

# Long words in pieces: a model can repeat itself without a space.
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]{{1,20}}")
_SENTENCE_END = re.compile(r"[.!?。！？…\n]+")  # noqa: RUF001


def loops(source: str, answer: str) -> bool:
    """Whether the answer repeats itself where the source does not."""
    words, of_source = _WORD.findall(answer.casefold()), _WORD.findall(source.casefold())
    run = _longest_run(words)
    if run >= LEAST_WORDS and run > 2 * _longest_run(of_source):
        return True
    times = _most_repeated(answer, share_of=len(words))
    return times >= LEAST_SENTENCES and times > 2 * _most_repeated(source)


def _longest_run(words: list[str]) -> int:
    """Words of the longest stretch in which one phrase stands LEAST_TIMES times or more, one after the other."""
    longest = 0
    for period in range(1, min(LONGEST_PERIOD, len(words) // LEAST_TIMES) + 1):
        for same, stretch in groupby(map(eq, words, words[period:])):
            length = sum(1 for _ in stretch) + period if same else 0
            if length >= LEAST_TIMES * period:
                longest = max(longest, length)
    return longest


def _most_repeated(text: str, *, share_of: int = 0) -> int:
    """How often the most frequent sentence stands in the text, if it makes a third of `share_of` words."""
    sentences = (tuple(_WORD.findall(sentence)) for sentence in _SENTENCE_END.split(text.casefold()))
    counts = Counter(sentence for sentence in sentences if len(sentence) >= _SENTENCE_WORDS)
    return max((times for sentence, times in counts.items() if 3 * times * len(sentence) >= share_of), default=0)
