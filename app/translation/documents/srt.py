"""SubRip subtitles: numbers and times stay unchanged; the text of each cue is translated separately.

A line of times begins a cue even if the blank line before it is missing.
"""

from __future__ import annotations

import re

from app.translation.documents.chunks import Builder
from app.translation.documents.errors import Unreadable
from app.translation.documents.lines import lines_of

_TIME = r"\d{1,4}:\d{1,2}:\d{1,2}(?:[,.]\d{1,3})?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s+.*)?", re.DOTALL)
_MAX_EXCERPT = 40


def read(text: str, build: Builder) -> None:
    """Add the text of each cue. Raises Unreadable, with the line, if the text is not SRT."""
    lines = lines_of(text)
    if not any(line.strip() for line in lines):
        raise Unreadable("the SRT has no subtitles")
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            build.keep(lines[at])
            at += 1
            continue
        words = _after_times(lines, at)
        build.keep("".join(lines[at:words]))
        at = words
        while at < len(lines) and lines[at].strip() and not _begins_cue(lines, at):
            at += 1
        build.prose("".join(lines[words:at]))


def _begins_cue(lines: list[str], at: int) -> bool:
    """Return whether a cue begins at this line although no blank line ends the previous one."""
    times = at + 1 if lines[at].strip().isdecimal() else at
    return times < len(lines) and bool(_TIMES.fullmatch(lines[times]))


def _after_times(lines: list[str], at: int) -> int:
    """Return the line number after the header of the cue at line `at`. Some programs omit the cue's number."""
    times = at + 1 if lines[at].strip().isdecimal() else at
    line = lines[times] if times < len(lines) else ""
    if not _TIMES.fullmatch(line):
        found = repr(line.strip()[:_MAX_EXCERPT]) if line.strip() else "blank"
        raise Unreadable(
            f"line {times + 1} of the SRT is {found}: expected a cue, which is a number, then a line with its times "
            "such as 00:00:01,000 --> 00:00:02,500, then its text up to a blank line"
        )
    return times + 1
