"""Protect what a model must not change: placeholders, tags, addresses, code.

Each is replaced by a token such as ⟦1⟧, which Apertium and language models copy as they copy a name. The patterns
are in syntaxes.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from app.translation.documents.syntaxes import (
    CLOSE,
    DESTINATION,
    FIRST_CHARACTERS,
    MARKDOWN,
    NUMBER,
    OPEN,
    PLAIN,
    WHY,
    WORDS,
)

_NAMED = "⟦{}⟧"
_STRICT = re.compile(f"⟦{NUMBER}⟧")
_LOOSE = re.compile(f"[{OPEN}]{NUMBER}[{CLOSE}]")
_WORD = re.compile(r"[^\W\d_]")

#: Substitutes for the characters of a placeholder, by their length in UTF-8: neither white space nor letters.
PROTECTED = "\x1a\x80\ue000\U000f0000"
# Maximum characters of a link that is not split; the words of a longer one are split as any other text.
MAX_LINK = 300

# Maximum placeholders that an error lists, and characters of each.
MAX_REPORTED = 3
MAX_REPORTED_LENGTH = 40

_LINK_END = re.compile(rf"\]{DESTINATION}")
_LINK_END_MARKDOWN = re.compile(rf"\](?:{DESTINATION}|\[[^\[\]]*\])")
_BRACKETS = re.compile(r"'[{}]'|\\(begin|end)\{([A-Za-z]{1,32}\*?)\}|[{}\[\]]")
_OPENED = {"{": "}", "[": "]"}
# Kinds whose pattern matches only the beginning.
_OPENINGS = ("icu", "environment", "link")


class PlaceholdersChanged(ValueError):
    """The answer does not have exactly the tokens that were sent; the message lists those missing and those added.

    `by_number` is the same message with tokens (⟦1⟧), for the prompt: the text of a placeholder comes from a client
    and must not become part of the instructions.
    """

    def __init__(self, named: str, by_number: str) -> None:
        super().__init__(named)
        self.by_number = by_number


@dataclass(frozen=True)
class ProtectedText:
    """A text with tokens in place of its placeholders.

    `hidden[i]` is the placeholder of token i + 1, and `whys[i]` why it is hidden, such as `code` (syntaxes.WHY).
    """

    text: str
    hidden: tuple[str, ...]
    whys: tuple[str, ...]

    @property
    def has_words(self) -> bool:
        """Return whether there is anything to translate besides placeholders, numbers and punctuation."""
        return bool(_WORD.search(self.text))

    def restore(self, answer: str) -> str:
        """Put the placeholders back into the answer, in any order. Raises PlaceholdersChanged.

        A token may have gained white space or other brackets as long as it is unambiguous.
        """
        strict = Counter(_numbers(_STRICT, answer))
        missing = {number for number in range(1, len(self.hidden) + 1) if number not in strict}
        loose = Counter(number for number in _numbers(_LOOSE, answer) if number in missing)
        found = strict + loose
        if found != Counter(range(1, len(self.hidden) + 1)):
            raise PlaceholdersChanged(self._difference(found, self._name), self._difference(found, _NAMED.format))

        def hidden(match: re.Match[str]) -> str:
            number = int(match[1])
            is_token = number in loose or _STRICT.fullmatch(match[0])
            return self.hidden[number - 1] if is_token else match[0]

        return _LOOSE.sub(hidden, answer)

    def _difference(self, found: Counter[int], name: Callable[[int], str]) -> str:
        missing = [name(number) for number in range(1, len(self.hidden) + 1) if not found[number]]
        added = [name(number) for number, count in found.items() if not 0 < number <= len(self.hidden) or count > 1]
        lacks = [f"lacks {_listed(missing)}"] if missing else []
        adds = [f"has an extra {_listed(added)}"] if added else []
        return f"the answer {' and '.join(lacks + adds)}"

    def _name(self, number: int) -> str:
        """Return the repr of a placeholder, bounded in length: it appears in answers, logs and dead letters."""
        if not 0 < number <= len(self.hidden):
            return _NAMED.format(number)
        text = self.hidden[number - 1]
        return repr(text if len(text) <= MAX_REPORTED_LENGTH else text[: MAX_REPORTED_LENGTH - 1] + "…")


def protect(text: str, *, markdown: bool = False) -> ProtectedText:
    """Replace each placeholder by a token. markdown: with footnotes, reference links and hard line breaks."""
    parts: list[str] = []
    hidden: list[str] = []
    whys: list[str] = []
    at = 0
    for start, end, kind in _spans(text, markdown):
        hidden.append(text[start:end])
        whys.append(WHY.get(kind, "placeholder"))
        parts += text[at:start], _NAMED.format(len(hidden))
        at = end
    return ProtectedText("".join(parts) + text[at:], tuple(hidden), tuple(whys))


def protected_spans(text: str) -> str:
    """Overwrite the placeholders and links with PROTECTED, leaving the length in characters and bytes unchanged."""
    parts: list[str] = []
    at = 0
    for start, end in _whole(text):
        parts += text[at:start], "".join(PROTECTED[len(char.encode()) - 1] for char in text[start:end])
        at = end
    return "".join(parts) + text[at:]


def _whole(text: str) -> list[tuple[int, int]]:
    """Return the spans that must not be split, in order: each placeholder, and short links from end to end."""
    spans: list[tuple[int, int]] = []
    links: list[int] = []
    for start, end, _ in _spans(text, markdown=True):
        if text[start:end].isspace():
            continue
        if text[start:end] == "[":
            links.append(start)
        elif text[start] == "]" and links and end - (opening := links.pop()) <= MAX_LINK:
            start = opening
            while spans and spans[-1][0] >= start:
                spans.pop()
        spans.append((start, end))
    return spans


def _spans(text: str, markdown: bool) -> Iterator[tuple[int, int, str]]:
    """Yield the spans of the placeholders and their kinds, in order and without overlaps."""
    pattern, link_end = _pattern(markdown), _LINK_END_MARKDOWN if markdown else _LINK_END
    partners: dict[int, int] | None = None
    link_ends: dict[int, int] = {}
    at = 0
    while match := pattern.search(text, at):
        start, end, kind = match.start(), match.end(), match.lastgroup or ""
        if kind in _OPENINGS:
            partners = _partners(text) if partners is None else partners
            end = partners.get(start, 0)
            if kind == "link" and end:
                closing = link_end.match(text, end - 1)
                link_ends[end - 1] = closing.end() if closing else 0
                end = match.end() if closing else 0
        elif kind == "link_end":
            end = link_ends.get(start, 0)
        if end:
            yield start, end, kind
        at = end or start + 1


@cache
def _pattern(markdown: bool) -> re.Pattern[str]:
    kinds = MARKDOWN if markdown else PLAIN
    named = {name: f"(?P<{name}>{pattern})" for name, pattern in kinds.items()}
    words = [named.pop(name) for name in WORDS]
    return re.compile(f"{'|'.join(words)}|(?={FIRST_CHARACTERS})(?:{'|'.join(named.values())})")


def _partners(text: str) -> dict[int, int]:
    """Find in one pass where the partner of each opening brace, bracket and \\begin ends. ICU quotes '{'."""
    partners: dict[int, int] = {}
    open_: dict[str, list[int]] = {}
    for match in _BRACKETS.finditer(text):
        opens, name = _OPENED.get(match[0][0], ""), match[2] or ""
        if match[1] == "begin" or opens:
            open_.setdefault(opens + name, []).append(match.start())
        elif match[0][0] != "'" and open_.get(key := name or match[0]):
            partners[open_[key].pop()] = match.end()
    return partners


def _numbers(pattern: re.Pattern[str], text: str) -> Iterable[int]:
    return (int(match[1]) for match in pattern.finditer(text))


def _listed(names: list[str]) -> str:
    more = [f"{len(names) - MAX_REPORTED} more"] if len(names) > MAX_REPORTED else []
    return ", ".join(names[:MAX_REPORTED] + more)
