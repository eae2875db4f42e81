"""Check whether an answer can be a translation of the source.

The checks are independent of languages, so they compare lengths, letters and repetitions. They are lenient on
purpose: a false alarm costs two more calls and reports a problem that does not exist.
"""

from __future__ import annotations

import re

from app.translation.engine.commentary import has_commentary, strip_commentary
from app.translation.engine.repetition import has_repetition
from app.translation.engine.scripts import EDGELESS, HAN, HANGUL, KANA, UNSPACED
from app.translation.parts import Problem

__all__ = ["find_problem", "strip_commentary"]

# Limits of an answer's letters: at least a fifth of the source's, at most three times as many and a margin.
MIN_RATIO = 0.2
MAX_RATIO = 3
SHORT_TEXT = 50
MARGIN = 80
# Maximum letters of a word that a symbol can translate, such as a circle for "off".
MAX_LETTERS_OF_SYMBOL = 10
# How many letters of an alphabet correspond to one character.
_WEIGHTS = ((HAN, 3.0), (KANA, 1.8), (HANGUL, 2.2))

# Minimum words of a text that cannot be the same in two languages by chance.
ECHO_WORDS = 3
ECHO_CHARACTERS = 12
# Languages with a close relative in which whole sentences are the same.
_CLOSE_LANGUAGES = {"da", "hr", "id", "ms", "nb", "sr"}
ECHO_WORDS_OF_CLOSE_LANGUAGES = 12

# Characters of addresses, paths, placeholders and markup.
_NO_WORD = re.compile(r"[\d_@/\\{}<>%⟦⟧]")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_ANY_WEIGHTED = re.compile(f"[{EDGELESS}]")


def find_problem(source: str, answer: str, *, target: str) -> Problem | None:
    """Return the problem of an answer without commentary, if any. target: an ISO 639-1 code."""
    if (source.strip() and not answer.strip()) or (
        not _letters(answer) and len(_letters(source)) > MAX_LETTERS_OF_SYMBOL
    ):
        return Problem("empty", "the model gave an empty answer", "source")
    if _is_echo(source, answer, target):
        return Problem("echo", "the model gave the text back without translating it", "answer")
    if has_repetition(source, answer):
        return Problem("loop", "the model repeated the same words again and again", "source")
    return _wrong_length(source, answer) or _added_words(source, answer, target)


def _added_words(source: str, answer: str, target: str) -> Problem | None:
    if has_commentary(source, answer, target=target):
        return Problem("preamble", "the model added words of its own to the translation", "answer")
    return None


def _wrong_length(source: str, answer: str) -> Problem | None:
    of_source, of_answer = _weight(source), _weight(answer)
    if of_source >= SHORT_TEXT and of_answer < MIN_RATIO * of_source:
        return Problem("length", "the answer is much too short to be a translation of the text", "source")
    if of_answer > MAX_RATIO * of_source + MARGIN:
        return Problem("length", "the answer is much too long to be a translation of the text", "source")
    return None


def _is_echo(source: str, answer: str, target: str) -> bool:
    return _letters(source) == _letters(answer) and _must_differ(source, target)


def _must_differ(text: str, target: str) -> bool:
    """Return whether a translation must differ from the text: it has enough words, and they are not a name."""
    if len(_UNSPACED.findall(text)) >= ECHO_CHARACTERS:
        return True
    words = [_letters(word, fold=False) for word in text.split() if not _NO_WORD.search(word)]
    words = [word for word in words if len(word) > 1]
    needed = ECHO_WORDS_OF_CLOSE_LANGUAGES if target in _CLOSE_LANGUAGES else ECHO_WORDS
    if len({word.casefold() for word in words}) < needed:
        return False
    small = sum(not word[0].isupper() for word in words)
    # "Ursula von der Leyen" ends with a capital, "Das Haus ist alt" does not.
    return small > len(words) / 2 if words[-1][0].isupper() else small > 1


def _weight(text: str) -> float:
    """Count letters and digits, weighting those of dense scripts."""
    letters = _letters(text)
    weight = float(len(letters))
    if _ANY_WEIGHTED.search(letters):
        weight += sum((factor - 1) * len(re.findall(f"[{script}]", letters)) for script, factor in _WEIGHTS)
    return weight


def _letters(text: str, *, fold: bool = True) -> str:
    return "".join(filter(str.isalnum, text.casefold() if fold else text))
