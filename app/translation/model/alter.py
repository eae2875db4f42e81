"""Alter translations as misbehaving language models do: too short, too long, or with broken placeholders."""

import re
from itertools import islice, product

from .kinds import Misbehaviour

# A loop ends at the client's limit of words; this is for clients that set none.
MAX_LOOP = 4096
# Ends by itself below the smallest limit of this project's client.
SHORT_LOOP = 40
LOOPED_WORDS = 3
# Letters of a filling word and the space after it.
FILLING = 7

_PLACEHOLDER = re.compile(r"⟦(\d+)⟧|\{(\w+)\}|%(\w)")


def altered(kind: Misbehaviour | None, answer: str) -> str:
    """Alter the answer for this misbehaviour; return it unchanged for the others."""
    match kind:
        case Misbehaviour.PREAMBLE:
            return f"Here is the translation:\n\n{answer}"
        case Misbehaviour.THINK:
            return f"<think>\nThe user wants a translation.\n\nI keep the names.\n</think>\n\n{answer}"
        case Misbehaviour.NOTE:
            return f"{answer}\n\nNote: I kept the names as they are."
        case Misbehaviour.QUOTES:
            return f'"{answer}"'
        case Misbehaviour.PLACEHOLDERS:
            return _PLACEHOLDER.sub(_broken, answer)
        case _:
            return _of_other_length(kind, answer)


def _of_other_length(kind: Misbehaviour | None, answer: str) -> str:
    phrase = " " + " ".join(answer.split()[:LOOPED_WORDS])
    match kind:
        case Misbehaviour.LOOP:
            return answer + phrase * MAX_LOOP
        case Misbehaviour.LOOP_THEN_STOP:
            return answer + phrase * SHORT_LOOP
        case Misbehaviour.SHORT:
            return answer.split(" ", 1)[0]
        case Misbehaviour.LONG:
            return f"{answer} {_filling(5 * len(answer) + 200)}"
        case _:
            return answer


def _broken(match: re.Match[str]) -> str:
    number, name, letter = match.groups()
    if number:
        # Some are lost, some return in ASCII brackets.
        return "" if int(number) % 2 else f"[{number}]"
    return f"{{{name}s}}" if name else f"% {letter}"


def _filling(letters: int) -> str:
    """Return words without repetition."""
    syllables = [consonant + vowel for consonant in "bdfglmnprst" for vowel in "aeiou"]
    return " ".join(map("".join, islice(product(syllables, repeat=3), letters // FILLING)))
