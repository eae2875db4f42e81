"""Lines of Markdown that begin with a marker of another tool: admonitions, containers, tabs, includes."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Each has at most two groups: the marker before the title, and the title.
_LINES = (
    # Docusaurus, then VitePress and Pandoc, whose markers may end with attributes.
    re.compile(r"(:{2,}[ \t]*[\w-]{1,64}\[)([^\[\]\r\n]*)(?=\])"),
    re.compile(r"(:{3,}[ \t]*[\w-]{0,64}[ \t]*(?:\{[^{}\r\n]*\})?[ \t]*)([^{}\r\n]*)"),
    re.compile(r"(::[\w-]{1,64}\{[^{}\r\n]*\}[^\r\n]*)"),
    # Material for MkDocs.
    re.compile(r'((?:!!!|\?\?\?\+?)[ \t]+[\w -]{1,200}?[ \t]*")([^"\r\n]*)(?=")'),
    re.compile(r"((?:!!!|\?\?\?\+?)[ \t]+[\w-][\w -]{0,200})(?=[\r\n]|$)"),
    re.compile(r'(===[!+]?[ \t]+")([^"\r\n]*)(?=")'),
    # Includes, tables of contents, attributes.
    re.compile(
        r"(-{1,3}8<-{1,3}[^\r\n]*|<<<[ \t]+[@./~][^\r\n]*|\[TOC\][ \t]*|\[\[_?(?:toc|TOC)_?\]\][ \t]*)(?=[\r\n]|$)"
    ),
    re.compile(r"(\{:[^{}\r\n]{1,300}\}[ \t]*)(?=[\r\n]|$)"),
    # Abbreviations and definitions.
    re.compile(r"(:[ \t]+)([^\r\n]*)"),
    re.compile(r"(\*\[[^\[\]\r\n]{1,100}\]:[ \t]*)([^\r\n]*)"),
)
_FIRST = (
    # A callout of GitHub, GitLab and Obsidian.
    re.compile(r"(\[![\w-]{1,64}(?:\|[^\[\]\r\n]{0,100})?\][+-]?[ \t]*)([^\r\n]*)"),
)
# Statements that MDX executes.
_SCRIPT = re.compile(
    r"""(import[ \t]+(?:[\w*{}$, \t]{1,300}[ \t]from[ \t]+)?(?:"[^"\r\n]*"|'[^'\r\n]*')[ \t]*;?[ \t]*"""
    r"|export[ \t]+(?:(?:async[ \t]+)?function|class|const|let|var|default)\b[^\r\n]*[=({;][^\r\n]*)(?=[\r\n]|$)"
)


@dataclass(frozen=True)
class MarkerLine:
    """A line split into its marker, its title and the rest. why: the reason for which `after` stays unchanged."""

    before: str
    title: str
    after: str
    why: str | None = None


def split_marker(line: str, *, is_first: bool) -> MarkerLine | None:
    """Split a line without its margin, or return None if it is prose. is_first: whether it begins a paragraph."""
    if _SCRIPT.match(line):
        return MarkerLine("", "", line, "code")
    for pattern in (*_FIRST, *_LINES) if is_first else _LINES:
        if match := pattern.match(line):
            title = match[2] if pattern.groups > 1 else ""
            return MarkerLine(match[1], title, line[match.end() :])
    return None
