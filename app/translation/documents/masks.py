"""Hides from a model what it must not change: placeholders, tags, addresses, code.

Each one is replaced by a token such as ⟦1⟧, which Apertium and language models carry along as they carry a name. Every
pattern stops at what begins it, or is bounded, so that no text from a stranger takes more than linear time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

_NAMED = "⟦{}⟧"
# What models make of a token's brackets. A text's own are hidden as well, so that none can be taken for a token.
_OPEN, _CLOSE = "⟦〚【［\\[", "⟧〛】］\\]"  # noqa: RUF001
_NUMBER = r"\s{0,3}(\d{1,7})\s{0,3}"
_STRICT = re.compile(f"⟦{_NUMBER}⟧")
_LOOSE = re.compile(f"[{_OPEN}]{_NUMBER}[{_CLOSE}]")
_WORD = re.compile(r"[^\W\d_]")

#: In place of the characters of a placeholder, by their bytes in UTF-8: neither white space nor letters.
OPAQUE = "\x1a\x80\ue000\U000f0000"
# Characters of a link that is better not torn apart; the words of a longer one are a text like any other.
LONGEST_LINK = 300

# How much a sentence about lost tokens tells.
MAX_TOLD = 3
MAX_TOLD_LENGTH = 40

# Where a URL stops: it may have letters with accents, but Chinese and Japanese text follows without a space.
_IN_URL = r"""[^\s<>"`\[\]\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]"""
_URL_END = r"""[^\s<>"`\[\]\u3000-\u9fff\uac00-\ud7af\uff00-\uffef'.,;:!?)*_~|]"""
_ADDRESS = r"(?:<[^<>\n]*>|[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)?)"
_TITLE = r"""(?:\s{1,9}(?:"[^"]*"|'[^']*'))?"""
_DESTINATION = rf"\(\s{{0,9}}{_ADDRESS}{_TITLE}\s{{0,9}}\)"
_LINK_END = re.compile(rf"\]{_DESTINATION}")
_LINK_END_MARKDOWN = re.compile(rf"\](?:{_DESTINATION}|\[[^\[\]]*\])")

_SPECIFIER = r"(?:\([^()\n]{1,64}\)|\d{1,3}\$)?[-+#0,]{0,4}(?:\d{1,4}|\*)?(?:\.(?:\d{1,4}|\*))?"
_LENGTH = r"(?:hh?|ll?|[Lqjzt])?"

_KINDS = {
    "token": f"[{_OPEN}]{_NUMBER}[{_CLOSE}]",
    "code": r"(?<![`\w])(?:`(?![`\s])(?:[^`\n]|\n(?!\n))*(?<!\s)`|``(?!`)(?:[^`]|`(?!`))*``)(?![`\w])",
    "image": rf"!\[[^\[\]]*\](?:{_DESTINATION}|\[[^\[\]]*\])",
    "comment": r"<!--(?:[^-<]|-(?!->)|<(?!!--))*-->",
    "tag": r"</?[A-Za-z][\w:.-]*+"
    r"""(?:\s++[\w:@.-]++(?:\s*+=\s*+(?:"[^"<]*"|'[^'<]*'|[^\s"'<>=`]++))?)*+\s*+/?>|</?\d{1,3}/?>|<%[^<>%]*%>""",
    "url": rf"<[A-Za-z][A-Za-z0-9+.-]{{1,20}}:[^\s<>]+>"
    rf"|(?<![A-Za-z0-9_+.-])(?:[A-Za-z][A-Za-z0-9+.-]{{1,20}}://|www\.|mailto:|tel:){_IN_URL}*{_URL_END}",
    "email": r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+",
    "entity": r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});",
    # A number's percent sign is none of printf's: "100%sure", "5 %de", "50% discount".
    "printf": r"%%|%[A-Z_][A-Z0-9_]{1,63}%"
    rf"|(?<!\d)%{_SPECIFIER}(?:{_LENGTH}[diouxXeEfFgGcrs@](?![A-Za-z])|[A-Za-z](?![A-Za-z])|(?<!\d %){_LENGTH}[dsfu])"
    rf"|%(?:\d{{1,3}}\$)?{_LENGTH}[dsfux@](?![A-Za-z])|(?<!\d)%L?\d{{1,2}}(?!\d)",
    "braces": r"[$#%@]?(?:\{\{{1,2}[^{}]*\}{2,3}|\{%[^{}%]*%\}|\{\s?[^\s{}]*\s?\})",
    "icu": r"\{\s{0,9}[\w-]{1,64}\s{0,9},\s{0,9}"
    r"(?:plural|select|selectordinal|number|date|time|choice|list|spellout|ordinal|duration)\b",
    # "$5" and "5$" are prices.
    "variable": r"(?<![\w$])\$(?:t\([^()\s]*\)|[A-Za-z_]\w*)|(?<![\w@])@[A-Za-z_]\w*",
    "link": r"\[",
    "link_end": r"\](?=[(\[])",
}
_KINDS_MARKDOWN = {
    "footnote": r"\[\^[^\[\]\s]{1,64}\]",
    # Its words are the name of its definition.
    "reference": r"\[[^\[\]]*\]\[\]",
    "break": r"(?: {2,9}|\\)(?=\r?\n)",
} | _KINDS


class PlaceholdersChanged(ValueError):
    """An answer without exactly the tokens that were sent; the text names what is missing and what was added."""


@dataclass(frozen=True)
class Masked:
    """A text with tokens in the places of its placeholders. `hidden[i]` is what token i + 1 stands for."""

    text: str
    hidden: tuple[str, ...]

    @property
    def has_words(self) -> bool:
        """Whether there is anything to translate beside placeholders, numbers and punctuation."""
        return bool(_WORD.search(self.text))

    def restore(self, answer: str) -> str:
        """The answer with the placeholders again, in whatever order. Raises PlaceholdersChanged.

        A token may have got white space or other brackets, where it cannot be mistaken.
        """
        strict = Counter(_numbers(_STRICT, answer))
        missing = {number for number in range(1, len(self.hidden) + 1) if number not in strict}
        loose = Counter(number for number in _numbers(_LOOSE, answer) if number in missing)
        found = strict + loose
        if found != Counter(range(1, len(self.hidden) + 1)):
            raise PlaceholdersChanged(self._difference(found))

        def hidden(match: re.Match[str]) -> str:
            number = int(match[1])
            is_token = number in loose or _STRICT.fullmatch(match[0])
            return self.hidden[number - 1] if is_token else match[0]

        return _LOOSE.sub(hidden, answer)

    def _difference(self, found: Counter[int]) -> str:
        missing = [text for number, text in enumerate(self.hidden, 1) if not found[number]]
        added = [self._name(number) for number, count in found.items() if number > len(self.hidden) or count > 1]
        if 0 in found:
            added.append(self._name(0))
        lacks = [f"lacks {_told(missing)}"] if missing else []
        adds = [f"has {_told(added)} once too often"] if added else []
        return f"the answer {' and '.join(lacks + adds)}"

    def _name(self, number: int) -> str:
        return self.hidden[number - 1] if 0 < number <= len(self.hidden) else _NAMED.format(number)


def mask(text: str, *, markdown: bool = False) -> Masked:
    """The text with a token for each placeholder. `markdown`: with footnotes, reference links and hard line breaks."""
    parts: list[str] = []
    hidden: list[str] = []
    at = 0
    for start, end in _spans(text, markdown):
        hidden.append(text[start:end])
        parts += text[at:start], _NAMED.format(len(hidden))
        at = end
    return Masked("".join(parts) + text[at:], tuple(hidden))


def opaque(text: str) -> str:
    """The text, as long as it is in characters and bytes, with nothing to be seen in its placeholders and links."""
    parts: list[str] = []
    at = 0
    for start, end in _whole(text):
        parts += text[at:start], "".join(OPAQUE[len(sign.encode()) - 1] for sign in text[start:end])
        at = end
    return "".join(parts) + text[at:]


def _whole(text: str) -> list[tuple[int, int]]:
    """Where a text must not be taken apart, in its order: at each placeholder, and from end to end of short links."""
    spans: list[tuple[int, int]] = []
    links: list[int] = []
    for start, end in _spans(text, markdown=True):
        if text[start:end].isspace():
            continue
        if text[start:end] == "[":
            links.append(start)
        elif text[start] == "]" and links and end - (opening := links.pop()) <= LONGEST_LINK:
            start = opening
            while spans and spans[-1][0] >= start:
                spans.pop()
        spans.append((start, end))
    return spans


def _spans(text: str, markdown: bool) -> Iterator[tuple[int, int]]:
    """Where the placeholders are, in their order and without overlaps."""
    pattern, link_end = _pattern(markdown), _LINK_END_MARKDOWN if markdown else _LINK_END
    pairs: dict[int, int] | None = None
    link_ends: dict[int, int] = {}
    at = 0
    while match := pattern.search(text, at):
        start, end, kind = match.start(), match.end(), match.lastgroup
        if kind in ("icu", "link"):
            pairs = _pairs(text) if pairs is None else pairs
            partner = pairs.get(start, -1)
            if kind == "icu":
                end = partner + 1
            elif partner > 0 and (closing := link_end.match(text, partner)):
                link_ends[partner] = closing.end()
            else:
                end = 0
        elif kind == "link_end":
            end = link_ends.get(start, 0)
        if end:
            yield start, end
        at = end or start + 1


@cache
def _pattern(markdown: bool) -> re.Pattern[str]:
    kinds = _KINDS_MARKDOWN if markdown else _KINDS
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in kinds.items()))


def _pairs(text: str) -> dict[int, int]:
    """Each opening brace and bracket with its closing one, found in one pass. ICU quotes a brace as '{'."""
    partners: dict[int, int] = {}
    open_: dict[str, list[int]] = {"}": [], "]": []}
    for match in re.finditer(r"'[{}]'|[{}\[\]]", text):
        sign = match[0]
        if sign in ("{", "["):
            open_["}" if sign == "{" else "]"].append(match.start())
        elif open_.get(sign):
            partners[open_[sign].pop()] = match.start()
    return partners


def _numbers(pattern: re.Pattern[str], text: str) -> Iterable[int]:
    return (int(match[1]) for match in pattern.finditer(text))


def _told(placeholders: list[str]) -> str:
    told = [text if len(text) <= MAX_TOLD_LENGTH else text[: MAX_TOLD_LENGTH - 1] + "…" for text in placeholders]
    more = [f"{len(told) - MAX_TOLD} more"] if len(told) > MAX_TOLD else []
    return ", ".join(told[:MAX_TOLD] + more)
