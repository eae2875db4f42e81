"""SubRip subtitles: numbers and times stay, each cue's text is a piece of its own."""

from __future__ import annotations

import re

from app.translation.documents.chunks import Builder
from app.translation.documents.errors import Unreadable
from app.translation.documents.lines import lines_of

_TIME = r"\d{1,4}:\d{1,2}:\d{1,2}(?:[,.]\d{1,3})?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s+.*)?", re.DOTALL)
_TOLD = 40


def read(text: str, build: Builder) -> None:
    """Adds the text of each cue. Raises Unreadable, naming the line, for what is no SRT."""
    lines = lines_of(text)
    if not any(line.strip() for line in lines):
        raise Unreadable("the SRT has no subtitles")
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            build.keep(lines[at])
            at += 1
            continue
        words = _behind_times(lines, at)
        build.keep("".join(lines[at:words]))
        at = words
        while at < len(lines) and lines[at].strip():
            at += 1
        build.prose("".join(lines[words:at]))


def _behind_times(lines: list[str], at: int) -> int:
    """The number of the line that follows the head of the cue at line `at`. Some programs leave the number out."""
    times = at + 1 if lines[at].strip().isdecimal() else at
    line = lines[times] if times < len(lines) else ""
    if not _TIMES.fullmatch(line):
        found = repr(line.strip()[:_TOLD]) if line.strip() else "blank"
        raise Unreadable(
            f"line {times + 1} of the SRT is {found}: a cue is a number, then a line with its times such as "
            "00:00:01,000 --> 00:00:02,500, then its text up to a blank line"
        )
    return times + 1
