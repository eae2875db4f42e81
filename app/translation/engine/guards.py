"""Looks at an answer: is it a translation of the source at all?

The guards know no language, so they compare shapes. They are wide on purpose: a false alarm costs two more calls and
tells a reader of a problem that is none.
"""

from __future__ import annotations

import re

from app.translation.engine.chatter import cleaned, talks
from app.translation.engine.loops import loops
from app.translation.engine.scripts import EDGELESS, HAN, HANGUL, KANA, UNSPACED
from app.translation.parts import Problem

__all__ = ["cleaned", "find_problem"]

# Letters beyond which an answer is absurd: shorter than a fifth, longer than three times and some more.
SHORTEST = 0.2
LONGEST = 3
SHORT_TEXT = 50
SOME_MORE = 80
# Letters of a word for which a sign alone can stand, such as a circle for "off".
A_SIGN_FOR = 10
# How many letters of an alphabet say as much as one sign.
_WEIGHTS = ((HAN, 3.0), (KANA, 1.8), (HANGUL, 2.2))

# Words that a text needs so that it cannot be the same in two languages by chance.
ECHO_WORDS = 3
ECHO_SIGNS = 12
# Languages with a sister in which whole sentences are the same.
_SISTERS = {"da", "hr", "id", "ms", "nb", "sr"}
ECHO_WORDS_OF_SISTERS = 12

# In an address, a path, a placeholder, markup.
_NO_WORD = re.compile(r"[\d_@/\\{}<>%⟦⟧]")
_SIGNS = re.compile(f"[{UNSPACED}]")
_ANY_WEIGHTED = re.compile(f"[{EDGELESS}]")


def find_problem(source: str, answer: str, *, target: str) -> Problem | None:
    """What is wrong with an answer that was cleaned, if anything is; `target` is an ISO 639-1 code."""
    if (source.strip() and not answer.strip()) or (not _letters(answer) and len(_letters(source)) > A_SIGN_FOR):
        return Problem("empty", "the model gave an empty answer", "source")
    if _is_echo(source, answer, target):
        return Problem("echo", "the model gave the text back without translating it", "answer")
    if loops(source, answer):
        return Problem("loop", "the model repeated the same words again and again", "source")
    return _wrong_length(source, answer) or _added_words(source, answer, target)


def _added_words(source: str, answer: str, target: str) -> Problem | None:
    if talks(source, answer, target=target):
        return Problem("preamble", "the model added words of its own to the translation", "answer")
    return None


def _wrong_length(source: str, answer: str) -> Problem | None:
    of_source, of_answer = _weight(source), _weight(answer)
    if of_source >= SHORT_TEXT and of_answer < SHORTEST * of_source:
        return Problem("length", "the answer is much too short to be a translation of the text", "source")
    if of_answer > LONGEST * of_source + SOME_MORE:
        return Problem("length", "the answer is much too long to be a translation of the text", "source")
    return None


def _is_echo(source: str, answer: str, target: str) -> bool:
    return _letters(source) == _letters(answer) and _must_differ(source, target)


def _must_differ(text: str, target: str) -> bool:
    """Whether a translation of the text cannot be the text itself: it has words, and they are no name."""
    if len(_SIGNS.findall(text)) >= ECHO_SIGNS:
        return True
    words = [_letters(word, fold=False) for word in text.split() if not _NO_WORD.search(word)]
    words = [word for word in words if len(word) > 1]
    needed = ECHO_WORDS_OF_SISTERS if target in _SISTERS else ECHO_WORDS
    if len({word.casefold() for word in words}) < needed:
        return False
    small = sum(not word[0].isupper() for word in words)
    # "Ursula von der Leyen" ends with a capital, "Das Haus ist alt" does not.
    return small > len(words) / 2 if words[-1][0].isupper() else small > 1


def _weight(text: str) -> float:
    """Letters and digits, those of dense scripts by what they are worth in an alphabet."""
    letters = _letters(text)
    weight = float(len(letters))
    if _ANY_WEIGHTED.search(letters):
        weight += sum((worth - 1) * len(re.findall(f"[{signs}]", letters)) for signs, worth in _WEIGHTS)
    return weight


def _letters(text: str, *, fold: bool = True) -> str:
    return "".join(filter(str.isalnum, text.casefold() if fold else text))
