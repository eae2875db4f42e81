"""WebVTT subtitles: header, notes, styles, regions, names and times stay; each cue's text is translated separately."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.translation.documents.chunks import Builder
from app.translation.documents.errors import Unreadable
from app.translation.documents.lines import lines_of

_TIME = r"(?:\d{1,4}:)?\d\d:\d\d\.\d{3}"
_TIMES = re.compile(rf"[ \t]*{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t][^\r\n]*)?[\r\n]*")
_KEPT = re.compile(r"(NOTE|STYLE|REGION)(?=\s|$)")
_WHY = {"NOTE": "comment", "STYLE": "code"}
_MAX_EXCERPT = 40


def read(text: str, build: Builder) -> None:
    """Add the text of each cue. Raises Unreadable, with the line, if the text is not WebVTT."""
    lines = lines_of(text)
    if not lines or not re.match(r"WEBVTT(?=\s|$)", lines[0]):
        raise Unreadable("line 1 of the WebVTT does not begin with WEBVTT, followed by a blank line")
    for number, block in _blocks(lines):
        kept = _KEPT.match(block[0])
        if number == 0:
            build.keep("".join(block))
        elif kept and not any("-->" in line for line in block[:2]):
            build.keep("".join(block), _WHY.get(kept[1]))
        else:
            _add(number, block, build)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield blocks with the blank lines after them, and the number of their first line.

    Even without a blank line before, a line of times begins a block after the header and after another line of times.
    """
    start = 0
    for number, line in enumerate(lines):
        begins = line.strip() and number > start and not lines[number - 1].strip()
        if begins or (number and _TIMES.fullmatch(line) and (not start or _has_times(lines[start:number]))):
            yield start, lines[start:number]
            start = number
    yield start, lines[start:]


def _has_times(lines: list[str]) -> bool:
    return any("-->" in line for line in lines)


def _add(number: int, block: list[str], build: Builder) -> None:
    at = 0 if "-->" in block[0] else 1
    line = block[at] if at < len(block) else ""
    if not _TIMES.fullmatch(line):
        found = repr(line.strip()[:_MAX_EXCERPT]) if line.strip() else "blank"
        raise Unreadable(
            f"line {number + at + 1} of the WebVTT is {found}: expected a cue, which is an optional name, then a line "
            "with its times such as 00:01.000 --> 00:02.500, then its text up to a blank line"
        )
    words = "".join(block[at + 1 :])
    body = words.rstrip()
    build.keep("".join(block[: at + 1]))
    build.prose(body)
    build.keep(words[len(body) :])
