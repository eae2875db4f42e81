"""Plain text: paragraphs, with code in fences and tables as people write them."""

from __future__ import annotations

from app.translation.documents.chunks import Builder
from app.translation.documents.lines import Fences, add_paragraph, lines_of


def read(text: str, build: Builder) -> None:
    """Adds paragraphs, and keeps fenced code and blank lines as they are."""
    lines = lines_of(text)
    fences = Fences(lines)
    paragraph: list[str] = []

    def end_paragraph() -> None:
        if paragraph:
            add_paragraph(paragraph, build)
            paragraph.clear()

    at = 0
    while at < len(lines):
        line = lines[at]
        behind = fences.end(at)
        if behind > at:
            end_paragraph()
            build.keep("".join(lines[at:behind]))
        elif line.isspace():
            end_paragraph()
            build.keep(line)
        else:
            paragraph.append(line)
        at = max(behind, at + 1)
    end_paragraph()
