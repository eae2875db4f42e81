"""The documentation: pages made from code are up to date, no page is too long, and every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow

MAX_WORDS = 2500
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("app/*/docs/**/*.md")])
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|[*`]")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    seen: dict[str, int] = {}
    found = set()
    for title in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        slug = re.sub(r"[^\w\- ]", "", _MARKUP.sub(r"\1", title).lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def links(page: Path) -> list[str]:
    """Return the targets of the links of a page, without those that lead out of the repository."""
    text = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in _LINK.findall(text) if not re.match(r"[a-z]+:", target)]


def is_of_removed_workload(target: Path) -> bool:
    """Whether the target lies in the folder of a workload that somebody has removed."""
    parts = target.relative_to(ROOT).parts
    return parts[0] == "app" and len(parts) > 2 and not (ROOT / "app" / parts[1]).exists()


def problem_of(page: Path, link: str) -> str | None:
    """Return what is wrong with a link, or None."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if is_of_removed_workload(target):
        return None
    if not target.exists():
        return f"{link}: there is no such file"
    if anchor and anchor not in anchors(target):
        return f"{link}: {named(target)} has no such heading"
    return None


def test_pages_made_from_code_are_up_to_date() -> None:
    # In a process of its own: click keeps the help options of a command that another test has called.
    script = [sys.executable, str(ROOT / "bin" / "docs-reference"), "--check"]
    ran = subprocess.run(script, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_is_too_long(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").split()) <= MAX_WORDS


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    assert not [problem for link in links(page) if (problem := problem_of(page, link))]


@pytest.mark.parametrize("folder", [DOCS, *ROOT.glob("app/*/docs")], ids=named)
def test_the_index_of_a_folder_links_every_page(folder: Path) -> None:
    indexes = [folder / "README.md", *folder.glob("*/*/README.md")]
    linked = {(index.parent / link.partition("#")[0]).resolve() for index in indexes for link in links(index)}

    assert {page for page in folder.rglob("*.md") if page != folder / "README.md"} <= linked


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")], ids=named)
def test_python_in_a_page_has_no_syntax_error(page: Path) -> None:
    for block in _PYTHON.findall(page.read_text(encoding="utf-8")):
        compile(textwrap.dedent(block), named(page), "exec")
