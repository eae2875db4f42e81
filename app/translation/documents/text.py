"""Plain text: paragraphs, with fenced code and informal tables."""

from __future__ import annotations

from app.translation.documents.chunks import Builder
from app.translation.documents.lines import Fences, add_paragraph, lines_of


def read(text: str, build: Builder) -> None:
    """Add paragraphs; keep fenced code and blank lines unchanged."""
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
        after = fences.end(at)
        if after > at:
            end_paragraph()
            build.keep("".join(lines[at:after]), "code")
        elif line.isspace():
            end_paragraph()
            build.keep(line)
        else:
            paragraph.append(line)
        at = max(after, at + 1)
    end_paragraph()
