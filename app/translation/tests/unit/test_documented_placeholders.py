"""docs/placeholders.md is correct: what it lists is hidden from a model, and nothing is hidden in prose."""

from __future__ import annotations

import re

import pytest

from app.translation import documents
from app.translation.documents.placeholders import protect
from app.translation.tests.paths import DATA, DOCS

PROSE = (DATA / "prose.txt").read_text().splitlines()
_CODE = re.compile(r"(?<!`)(`+)(?!`) ?((?:(?!\1).)+?) ?\1(?!`)")


def rows(title: str) -> list[tuple[str, list[str]]]:
    """Return the example and the expected parts of each row in the table below a heading."""
    text = (DOCS / "placeholders.md").read_text()
    table = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = [re.split(r"(?<![\\|])\|(?!\|)", line) for line in table.splitlines() if line.startswith("| ")][2:]
    return [(" ".join(codes(row[2])), codes(row[3])) for row in cells]


def codes(cell: str) -> list[str]:
    return [match[2].replace("\\|", "|") for match in _CODE.finditer(cell)]


@pytest.mark.parametrize(("sentence", "hidden"), rows("In every text"))
def test_documented_placeholders_stay_in_every_text(sentence: str, hidden: list[str]) -> None:
    protected = protect(sentence)
    assert list(protected.hidden) == hidden
    assert protected.has_words


@pytest.mark.parametrize(("sentence", "hidden"), rows("In Markdown"))
def test_documented_placeholders_stay_in_markdown(sentence: str, hidden: list[str]) -> None:
    assert list(protect(sentence, markdown=True).hidden) == hidden


@pytest.mark.parametrize(("line", "translated"), rows("Lines of Markdown"))
def test_only_the_titles_of_documented_lines_are_translated(line: str, translated: list[str]) -> None:
    quoted = "> " if line.startswith(">") else ""
    document = documents.read(f"Before.\n\n{line}\n{quoted}Below.\n", "markdown", budget=500)
    words = [chunk.text for chunk in document.chunks if protect(chunk.text, markdown=True).has_words]
    assert words == ["Before.", *translated, "Below."]


@pytest.mark.parametrize("markdown", [False, True])
def test_nothing_is_hidden_in_ordinary_prose(markdown: bool) -> None:
    assert len(PROSE) > 50
    assert [
        (line, protect(line, markdown=markdown).hidden) for line in PROSE if protect(line, markdown=markdown).hidden
    ] == []
