"""Terms whose translation is prescribed: which of them a text has, and which of them an answer lacks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from app.translation.engine.scripts import EDGELESS
from app.translation.parts import Problem

# What a prompt can hold beside the text.
MAX_RELEVANT = 50
MAX_CHARACTERS = 2_000
# Terms that a problem names.
MAX_NAMED = 5

_EDGELESS = re.compile(f"[{EDGELESS}]")


def relevant(glossary: Mapping[str, str], text: str) -> dict[str, str]:
    """The terms that stand in the text, longest first, as many as a prompt can hold.

    Case counts for a term with a capital inside only: "API" is not "api", but "House" is "house".
    """
    exact, folded = unicodedata.normalize("NFC", text), _folded(text)
    found: dict[str, str] = {}
    left = MAX_CHARACTERS
    for term in sorted(glossary, key=len, reverse=True):
        if len(found) == MAX_RELEVANT:
            break
        size = len(term) + len(glossary[term])
        if size <= left and _occurs(term, exact, folded):
            found[term] = glossary[term]
            left -= size
    return found


def missing_terms(glossary: Mapping[str, str], source: str, answer: str) -> list[str]:
    """The terms of `source` whose translation is not in `answer`, in any inflection that keeps the words' fronts."""
    there = _without_marks(answer)
    return [term for term, translation in relevant(glossary, source).items() if not _was_used(translation, there)]


def find_unused(glossary: Mapping[str, str], source: str, answer: str) -> Problem | None:
    """The problem that terms were not translated as prescribed, if there are any."""
    missing = missing_terms(glossary, source, answer)
    if not missing:
        return None
    named = ", ".join(f"“{term}” as “{glossary[term]}”" for term in missing[:MAX_NAMED])
    more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
    return Problem("glossary", f"the model did not translate {named}{more}", "answer")


def _occurs(term: str, exact: str, folded: str) -> bool:
    term = unicodedata.normalize("NFC", " ".join(term.split()))
    if any(char.isupper() for char in term[1:]):
        text = exact
    else:
        term, text = _folded(term), folded
    # Most terms are not there, and a pattern takes a hundred times as long to be made as this.
    first_word = term.split(" ", 1)[0]
    return first_word in text and re.search(_pattern(term), text) is not None


def _pattern(term: str) -> str:
    """The term as a whole word; a line may be broken within it."""
    words = r"\s+".join(map(re.escape, term.split(" ")))
    before = r"(?<!\w)" if _has_edge(term[0]) else ""
    after = r"(?!\w)" if _has_edge(term[-1]) else ""
    return before + words + after


def _has_edge(char: str) -> bool:
    return char.isalnum() and not _EDGELESS.match(char)


def _was_used(translation: str, answer: str) -> bool:
    return all(_stem(word) in answer for word in _without_marks(translation).split())


def _stem(word: str) -> str:
    """The front of a word that most inflections leave as it is."""
    if _EDGELESS.search(word):
        return word
    return word[: max(3, -(-len(word) * 3 // 5))]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


def _without_marks(text: str) -> str:
    """Umlauts and accents change in an inflection."""
    return "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
