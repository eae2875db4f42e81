"""Markdown (CommonMark with tables): what is prose is for the model, markers and all other blocks stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.translation.documents.chunks import Builder
from app.translation.documents.lines import add_paragraph, add_row, lines_of

# What stands before the lines of a paragraph in lists and quotations.
_MARGIN = r"[^\S\r\n]*(?:>[^\S\r\n]*)*"
_HEADING = re.compile(r"(?:[ \t>*+-]|\d{1,9}[.)])*#{1,6}[ \t]+")
_TASK = re.compile(r"\[[ xX]\]\s+")
_MATHS = re.compile(r"\$\$.*\$\$", re.DOTALL)
_FRONT_MATTER = {"---": ("---", "..."), "+++": ("+++",)}


def read(text: str, build: Builder) -> None:
    """Adds each paragraph, heading and cell; keeps code, HTML, link definitions, front matter and all markers."""
    lines = lines_of(text)
    at = _front_matter(lines)
    build.keep("".join(lines[:at]))
    offset = at
    for token, begin, end in _blocks("".join(lines[at:])):
        build.keep("".join(lines[at : offset + begin]))
        at = offset + end
        _add(token, lines[offset + begin : at], build)
    build.keep("".join(lines[at:]))


def _front_matter(lines: Sequence[str]) -> int:
    ends = _FRONT_MATTER.get(lines[0].rstrip(), ()) if lines else ()
    return next((number + 1 for number, line in enumerate(lines) if number and line.rstrip() in ends), 0)


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"])


def _blocks(text: str) -> Iterator[tuple[Token, int, int]]:
    """The tokens of paragraphs, headings and tables in their order: first line, and the line behind the last one."""
    in_table = False
    for token in _parser().parse(text):
        in_table = token.type == "table_open" or (in_table and token.type != "table_close")
        if token.map and (token.type == "table_open" or (token.type == "inline" and not in_table)):
            first, behind = token.map
            yield token, first, behind


def _add(token: Token, lines: list[str], build: Builder) -> None:
    if token.type == "table_open":
        for line in lines:
            add_row(line, build, _MARGIN)
        return
    start, end = _words(lines[0], token.content)
    # What stands behind the words of a heading is on its only line.
    end = end if len(lines) == 1 else len(lines[0])
    rest = [lines[0][start:end], *lines[1:]]
    build.keep(lines[0][:start])
    if _MATHS.fullmatch(token.content):
        build.keep("".join(rest))
    else:
        add_paragraph(rest, build, _MARGIN)
    build.keep(lines[0][end:])


def _words(line: str, content: str) -> tuple[int, int]:
    """Where the words are in their first line, between the markers of quotations, lists, tasks and headings.

    content: the words of all lines, as the parser found them.
    """
    first = content.partition("\n")[0]
    heading = _HEADING.match(line)
    start = heading.end() if heading else len(line.rstrip()) - len(first.rstrip())
    end = start + len(first)
    task = _TASK.match(line, start, end)
    return (task.end() if task else start), end
