"""Keep every line in its place while a translator processes the whole text at once."""

import re
from collections.abc import Callable

# Apertium ends a sentence at a blank line, keeps blank lines as they are, and loses NUL characters.
_BLANK_LINE = "\n\n"
_LINE_BREAK = r"[\n\0][\s\0]*"
# A long line without a full stop before a line in lower case is one sentence, wrapped. Short lines are lists,
# titles and subtitles, where a word must not move into the next line.
_WRAPPED = r"(?<=[^\n]{39}[^\s.!?:;])\n(?=[a-zß-ÿ])"
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_EACH_LINE = re.compile(f"({_LINE_BREAK})")
_EACH_PARAGRAPH = re.compile(f"((?!{_WRAPPED}){_LINE_BREAK})")


class LayoutLost(Exception):
    """The translation has another number of lines than the text."""


def keep_lines(text: str, translate: Callable[[str], str]) -> str:
    """Translate ``text`` so that its whitespace at the ends, its lines and its blank lines stay as they are.

    ``translate`` gets the pieces joined by blank lines, in one call, because ten programs hand each text on. When it
    loses a line break inside a wrapped sentence, a second call translates line by line. Raises LayoutLost
    when that fails too.
    """
    inner = text.strip()
    if not inner:
        return text
    start = text.index(inner)
    try:
        translated = _translate(inner, _EACH_PARAGRAPH, translate)
    except LayoutLost:
        translated = _translate(inner, _EACH_LINE, translate)
    return text[:start] + translated + text[start + len(inner) :]


def _translate(text: str, breaks: re.Pattern[str], translate: Callable[[str], str]) -> str:
    parts = breaks.split(text)
    pieces = [part.rstrip() for part in parts[::2]]
    answers = translate(_BLANK_LINE.join(pieces)).split(_BLANK_LINE)
    if [piece.count("\n") for piece in pieces] != [answer.strip().count("\n") for answer in answers]:
        raise LayoutLost
    ends = [part[len(part.rstrip()) :] for part in parts[::2]]
    tidied = map(_tidied, pieces, answers)
    parts[::2] = [answer.strip() + end for answer, end in zip(tidied, ends, strict=True)]
    return "".join(parts)


def _tidied(piece: str, answer: str) -> str:
    """Undo the double spaces where Apertium drops a word, and the capital that it gives to a piece's start."""
    if "  " not in piece:
        answer = re.sub(" {2,}", " ", answer)
    before, after = _FIRST_WORD.search(piece), _FIRST_WORD.search(answer)
    if before and after and before[0].islower() and after[0].istitle() and after[0] != "I":
        return answer[: after.start()] + after[0].lower() + answer[after.end() :]
    return answer
