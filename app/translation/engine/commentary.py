"""Remove what models put around a translation: thoughts, quotation marks, fences, introductions and notes.

Text that is certainly not part of the translation is removed, which saves a second call. `has_commentary` detects
text that is probably commentary. Text that could be in the source as well stays: removing a part of the translation
is worse than leaving a superfluous word.
"""

from __future__ import annotations

import re

# Search for an introduction in this many characters of the answer, and for a similar heading in these of the source.
_FRONT = 160
_SOURCE_FRONT = 400
# Search for a note in this many of the answer's last lines.
_LAST_LINES = 10

_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“”", "«": "»", "»": "«", "‘": "’", "「": "」", "『": "』"}  # noqa: RUF001
_ANY_QUOTE = "".join({*_QUOTES, *"".join(_QUOTES.values())})
_COMMAND = re.compile(r"\A/(?:no_)?think\b|/(?:no_)?think\Z")
_COLON = re.compile(r"\s*[:：]\W{0,3}(?=\s|\Z)")  # noqa: RUF001

# The word "translation" in the languages that models like to answer in, by its stem.
_ABOUT = re.compile(
    r"translat|traduc|traduz|tradut|übersetz|vertal|översätt|oversæt|oversett|tłumacz|перев[её]д|перевод|переклад|превод|"
    r"překlad|preklad|fordít|çevir|käännös|dịch|terjemah|翻译|翻譯|翻訳|번역|ترجم|अनुवाद|μετάφρα|תרגו|แปล",
    re.IGNORECASE,
)
_HERE_IS = re.compile(
    r"\A\W{0,3}(?:(?:sure|certainly|of course|okay|ok|absolutely)[!,. ]+)?"
    r"(?:here(?:['’]s| is| are| you go)|below is)\b",  # noqa: RUF001
    re.IGNORECASE,
)
_EAGER = re.compile(
    r"\A\W{0,3}(sure|certainly|of course|okay|absolutely|here(?:['’]s| is)|"  # noqa: RUF001
    r"i['’]m sorry|i am sorry|sorry|i can(?:no|['’])t|as an ai|the translation)\b",  # noqa: RUF001
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"\W{0,4}(?:translat\w+['’]?s? |please )?"  # noqa: RUF001
    r"(?:notes?|explanation|notas?|note du traducteur|remarques?|hinweise?|anmerkung(?:en)?|примечание|注意?|備考|참고)"
    r"\W{0,3}[:：]",  # noqa: RUF001
    re.IGNORECASE,
)


def strip_commentary(source: str, answer: str) -> str:
    """Return the answer without what models put around a translation, unless the source has it too."""
    answer = answer.strip()
    for _ in range(3):
        before = answer
        for clean in (_without_thoughts, _without_fence, _without_introduction, _without_note, _without_quotes):
            answer = clean(source, answer).strip()
        if answer == before:
            break
    return answer


def has_commentary(source: str, answer: str, *, target: str) -> bool:
    """Return whether an answer, after `strip_commentary`, begins or ends with words of the model's own."""
    return _opens_eagerly(source, answer, target) or (
        len(_lines(answer)) > len(_lines(source)) and _note_line(source, _lines(answer)) is not None
    )


def _opens_eagerly(source: str, answer: str, target: str) -> bool:
    # In English these words can be part of the translation.
    opening = _EAGER.match(answer)
    if opening is None or target == "en":
        return False
    return opening[1].lower() not in source[:_SOURCE_FRONT].lower()


def _without_thoughts(source: str, answer: str) -> str:
    """Remove the thoughts. The templates of some models open the block, so the answer may have only its end."""
    if "</think>" not in source:
        answer = answer.rpartition("</think>")[2]
    return answer if "think" in source else _COMMAND.sub("", answer)


def _without_fence(source: str, answer: str) -> str:
    if "```" in source or not answer.startswith("```") or not answer.endswith("```"):
        return answer
    _, line_end, inner = answer[:-3].partition("\n")
    return inner if line_end and "```" not in inner else answer


def _without_introduction(source: str, answer: str) -> str:
    colon = _COLON.search(answer[:_FRONT])
    if colon is None or _has_heading(source):
        return answer
    head, rest = answer[: colon.start()], answer[colon.end() :]
    own_line = rest.lstrip(" *").startswith("\n") and len(_lines(answer)) > len(_lines(source))
    if rest.strip() and "\n" not in head and (_ABOUT.search(head) or (own_line and _HERE_IS.match(head))):
        return rest.lstrip(" *") if head.startswith("*") else rest
    return answer


def _has_heading(source: str) -> bool:
    """Return whether the source has a heading of which an apparent introduction could be the translation."""
    first_line = source.lstrip().partition("\n")[0][:_SOURCE_FRONT]
    return bool(_COLON.search(first_line) or _ABOUT.search(first_line))


def _without_note(source: str, answer: str) -> str:
    lines = _lines(answer)
    at = _note_line(source, lines)
    if at is not None and at == len(_lines(source)):
        return answer[: answer.rindex(lines[at])]
    start = max(answer.rfind("("), answer.rfind("（"))  # noqa: RUF001
    in_brackets = start > 0 and answer.endswith((")", "）")) and _NOTE.match(answer[start:])  # noqa: RUF001
    if in_brackets and not source.rstrip().endswith((")", "）")):  # noqa: RUF001
        return answer[:start]
    return answer


def _note_line(source: str, lines: list[str]) -> int | None:
    """Return the number of the line where a note begins, if the source has no note."""
    of_source = _lines(source)
    if any(_NOTE.match(line) for line in of_source) or (of_source and _COLON.search(of_source[-1][:_FRONT])):
        return None
    first = max(1, len(lines) - _LAST_LINES)
    return next((number for number in range(first, len(lines)) if _NOTE.match(lines[number])), None)


def _without_quotes(source: str, answer: str) -> str:
    text = source.strip()
    if len(answer) < 2 or not text or text[0] in _ANY_QUOTE or text[-1] in _ANY_QUOTE:
        return answer
    closing = _QUOTES.get(answer[0], "")
    inner = answer[1:-1]
    if answer[-1] not in closing or answer[0] in inner or any(quote in inner for quote in closing):
        return answer
    return inner


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]
