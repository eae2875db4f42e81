"""Glossary terms: find those that occur in a text, and those that an answer does not use."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from app.translation.engine.scripts import EDGELESS
from app.translation.parts import Problem

# Limits for the terms in a prompt.
MAX_RELEVANT = 50
MAX_CHARACTERS = 2_000
# Maximum terms listed in a problem.
MAX_NAMED = 5

_EDGELESS = re.compile(f"[{EDGELESS}]")


def relevant(glossary: Mapping[str, str], text: str) -> dict[str, str]:
    """Return the terms that occur in the text, longest first, as many as fit into a prompt.

    Case is significant only for a term with a capital after its first letter: "API" is not "api", but "House" matches
    "house".
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
    """Return the terms of `source` whose translation is not in `answer`, even with another ending."""
    there = _without_marks(answer)
    return [term for term, translation in relevant(glossary, source).items() if not _was_used(translation, there)]


def find_unused(glossary: Mapping[str, str], source: str, answer: str) -> Problem | None:
    """Return a problem if terms were not translated as prescribed."""
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
    # Most terms do not occur, and compiling a pattern takes a hundred times as long as this check.
    first_word = term.split(" ", 1)[0]
    return first_word in text and re.search(_pattern(term), text) is not None


def _pattern(term: str) -> str:
    """Match the term as whole words, with any white space between them."""
    words = r"\s+".join(map(re.escape, term.split(" ")))
    before = r"(?<!\w)" if _has_edge(term[0]) else ""
    after = r"(?!\w)" if _has_edge(term[-1]) else ""
    return before + words + after


def _has_edge(char: str) -> bool:
    return char.isalnum() and not _EDGELESS.match(char)


def _was_used(translation: str, answer: str) -> bool:
    return all(_stem(word) in answer for word in _without_marks(translation).split())


def _stem(word: str) -> str:
    """Return the beginning of a word, which most inflections do not change."""
    if _EDGELESS.search(word):
        return word
    return word[: max(3, -(-len(word) * 3 // 5))]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


def _without_marks(text: str) -> str:
    """Remove umlauts and accents, because inflections change them."""
    return "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
