"""Parse the text to translate, and the languages, from a chat's messages.

The prompt is the one a real language model gets. The system message holds a sentence like ``Translate from
English (en) to Spanish (es).`` among other instructions, and the user message is the text. Without such a
system message the sentence may stand in front of the user's text, before a colon or a blank line, as people
write it by hand.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .languages import code_of


@dataclass(frozen=True)
class Message:
    """One message of a chat: role is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A parsed prompt. Languages are ISO 639-1 codes; None if the prompt does not name them."""

    text: str
    source: str | None
    target: str | None


# In characters; the patterns below take time by the square of a sentence's length.
MAX_INSTRUCTION = 4000

# "Spanish", "es", "**Spanish**", "Spanish (es)", "Brazilian Portuguese (pt-BR)"; {0} names the groups.
_LANGUAGE = (
    r"[\"'*`]*(?:(?:[^\W\d_]+[ -])?[^\W\d_]+[\"'*`]*\s*\((?P<{0}_code>[a-z]{{2,3}})(?:[-_]\w+)?\)"
    r"|(?P<{0}_word>[^\W\d_]+))[\"'*`]*"
)
_SOURCE, _TARGET = _LANGUAGE.format("source"), _LANGUAGE.format("target")
_BOTH = [
    re.compile(rf"\bfrom\s+{_SOURCE}\s+(?:in)?to\s+{_TARGET}", re.IGNORECASE),
    re.compile(rf"\b(?:in)?to\s+{_TARGET}\s+from\s+{_SOURCE}", re.IGNORECASE),
]
_NO_FROM = re.compile(rf"{_SOURCE}\s+(?:in)?to\s+{_TARGET}", re.IGNORECASE)
_TARGET_ONLY = re.compile(rf"\b(?:in)?to\s+{_TARGET}", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
_INSTRUCTION_END = re.compile(r":[ \t]*\n*|\n[ \t]*\n")


def read_prompt(messages: Sequence[Message]) -> Prompt:
    """Read the last user message and its languages. Never fails: what is not said is None."""
    system = "\n".join(message.content for message in messages if message.role == "system")
    text = next((message.content for message in reversed(messages) if message.role == "user"), "")
    source, target = languages_in(system)
    return Prompt(text, source, target) if target else _read_front(text)


def languages_in(instructions: str) -> tuple[str | None, str | None]:
    """The (source, target) codes that the first sentence about translating names, each None when it does not.

    Only the front of long instructions is read.
    """
    for sentence in _SENTENCE_END.split(instructions[:MAX_INSTRUCTION]):
        source, target = _languages_in_sentence(sentence)
        if target:
            return source, target
    return None, None


def _read_front(text: str) -> Prompt:
    for end in _INSTRUCTION_END.finditer(text[:MAX_INSTRUCTION]):
        source, target = languages_in(text[: end.start()])
        if target:
            return Prompt(text[end.end() :], source, target)
    return Prompt(text, None, None)


def _languages_in_sentence(sentence: str) -> tuple[str | None, str | None]:
    for pattern in _BOTH:
        for match in pattern.finditer(sentence):
            source, target = _code(match, "source", sure=True), _code(match, "target", sure=True)
            if source and target:
                return source, target
    if "translat" not in sentence.lower():
        return None, None
    for match in _NO_FROM.finditer(sentence):
        source, target = _code(match, "source"), _code(match, "target")
        if source and target:
            return source, target
    targets = (_code(match, "target") for match in _TARGET_ONLY.finditer(sentence))
    return None, next(filter(None, targets), None)


def _code(match: re.Match[str], which: str, *, sure: bool = False) -> str | None:
    in_brackets: str | None = match[f"{which}_code"]
    if in_brackets:
        return code_of(in_brackets, in_brackets=True)
    return code_of(match[f"{which}_word"], sure=sure)
