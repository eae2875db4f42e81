"""Markdown (CommonMark with tables): translate the prose; markers and all other blocks stay unchanged.

For blocks outside CommonMark, the parser gets a modified view of the lines (blocks.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.translation.documents.blocks import front_matter, parser_view
from app.translation.documents.chunks import Builder
from app.translation.documents.lines import add_paragraph, add_row, lines_of
from app.translation.documents.markers import split_marker
from app.translation.documents.placeholders import protect

# The margin of the lines of a paragraph in lists and quotations.
_MARGIN = r"[^\S\r\n]*(?:>[^\S\r\n]*)*"
_HEADING = re.compile(r"(?:[ \t>*+-]|\d{1,9}[.)])*#{1,6}[ \t]+")
_TASK = re.compile(r"\[[ xX]\]\s+")
# Tokens of blocks that stay unchanged, with the reason.
_KEPT = {"fence": "code", "code_block": "code", "html_block": "html"}


def read(text: str, build: Builder) -> None:
    """Add each paragraph, heading and cell; keep code, HTML, link definitions, front matter and all markers."""
    lines = lines_of(text)
    at = front_matter(lines)
    build.keep("".join(lines[:at]), "front matter")
    lines = lines[at:]
    seen, whys = parser_view(lines)
    at = 0
    for token, begin, end in _blocks("".join(seen)):
        if token.type in _KEPT:
            whys |= dict.fromkeys(range(begin, end), _KEPT[token.type])
            continue
        _keep(lines, at, begin, whys, build)
        at = end
        _add(token, lines[begin:at], build)
    _keep(lines, at, len(lines), whys, build)


def _keep(lines: list[str], begin: int, end: int, whys: dict[int, str], build: Builder) -> None:
    """Keep lines that are not prose; lines that no token covers are link definitions."""
    for why, numbers in groupby(range(begin, end), lambda number: whys.get(number, "definition")):
        build.keep("".join(lines[number] for number in numbers), why)


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"])


def _blocks(text: str) -> Iterator[tuple[Token, int, int]]:
    """Yield the tokens of paragraphs, headings, tables and kept blocks, with the first line and the line after."""
    in_table = False
    for token in _parser().parse(text):
        in_table = token.type == "table_open" or (in_table and token.type != "table_close")
        wanted = token.type == "table_open" or (token.type == "inline" and not in_table) or token.type in _KEPT
        if token.map and wanted:
            first, after = token.map
            yield token, first, after


def _add(token: Token, lines: list[str], build: Builder) -> None:
    if token.type == "table_open":
        for line in lines:
            add_row(line, build, _MARGIN)
        return
    start, end = _words(lines[0], token.content)
    # Only a heading, which has one line, can have a marker after its words.
    end = end if len(lines) == 1 else len(lines[0])
    rest = [lines[0][start:end], *lines[1:]]
    build.keep(lines[0][:start])
    _add_prose(rest, build)
    build.keep(lines[0][end:])


def _add_prose(lines: list[str], build: Builder) -> None:
    """Add the lines of one paragraph; keep the markers of other tools, and add their titles as separate prose."""
    prose: list[str] = []
    for number, line in enumerate(lines):
        margin = re.match(_MARGIN, line)
        begin = margin.end() if margin else 0
        marker = split_marker(line[begin:], is_first=number == 0)
        if marker is None:
            prose.append(line)
            continue
        _add_paragraph(prose, build)
        prose = []
        build.keep(line[:begin] + marker.before)
        build.prose(marker.title, _MARGIN)
        build.keep(marker.after, marker.why)
    _add_paragraph(prose, build)


def _add_paragraph(lines: list[str], build: Builder) -> None:
    text = "".join(lines)
    # A paragraph that consists of a formula or an image has nothing to translate.
    protected = protect(text, markdown=True) if text and not text[0].isalnum() else None
    if protected is None or protected.has_words:
        add_paragraph(lines, build, _MARGIN)
        return
    for why, hidden in zip(protected.whys, protected.hidden, strict=True):
        build.untranslated.add(why, hidden)
    build.keep(text)


def _words(line: str, content: str) -> tuple[int, int]:
    """Find the words in their first line, between the markers of quotations, lists, tasks and headings.

    content: the words of all lines, as the parser found them.
    """
    first = content.partition("\n")[0]
    heading = _HEADING.match(line)
    start = heading.end() if heading else len(line.rstrip()) - len(first.rstrip())
    end = start + len(first)
    task = _TASK.match(line, start, end)
    return (task.end() if task else start), end
