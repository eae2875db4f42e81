"""The documentation as a site: each of its links leads somewhere, and it needs no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.paths import ROOT
from tests.unit.test_docs import PAGES

pytestmark = pytest.mark.slow

# Elements whose address the browser loads by itself; others only lead to one.
LOADING = {"script", "img", "iframe", "source", "video", "audio", "object", "embed"}
LOADING_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest"}
_LOADED_BY_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


class Html(HTMLParser):
    """What the tests need of a page: its anchors, addresses that it links or loads, and its paragraphs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.linked: set[str] = set()
        self.loaded: set[str] = set()
        self.paragraphs: list[str] = []
        self._in_paragraph = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        addresses = {given[name] for name in ("href", "src", "data") if given.get(name)}
        addresses |= {part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()}
        loads = tag in LOADING or (tag == "link" and LOADING_RELATIONS & set(given.get("rel", "").split()))
        if loads:
            self.loaded |= addresses
        elif tag != "base":
            self.linked |= addresses
        if tag == "p":
            self._in_paragraph = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_paragraph = self._in_paragraph and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._in_paragraph:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site that was built without a warning; --quiet would hide warnings from --strict."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "DOCS_REPOSITORY"}
    environment["NO_MKDOCS_2_WARNING"] = "1"
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    return {path: Html(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def target(page: Path, address: str) -> Path:
    path = unquote(urlsplit(address).path)
    return (page.parent / path).resolve() if path else page


def problems(site: Path, pages: dict[Path, Html]) -> Iterator[str]:
    for page, html in pages.items():
        for address in html.linked | html.loaded:
            if is_elsewhere(address):
                continue
            led_to, anchor = target(page, address), unquote(urlsplit(address).fragment)
            # As from a file: the address of a folder shows no page.
            if not (led_to.is_file() and led_to.is_relative_to(site)):
                yield f"{page.relative_to(site)}: {address}: there is no such file"
            elif anchor and led_to in pages and anchor not in pages[led_to].anchors | {"__search", "__drawer"}:
                yield f"{page.relative_to(site)}: {address}: there is no such anchor"


def test_every_address_leads_to_a_file_and_its_anchor(site: Path, pages: dict[Path, Html]) -> None:
    assert sorted(problems(site, pages)) == []


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Html]) -> None:
    loaded = {address for html in pages.values() for address in html.loaded if is_elsewhere(address)}
    for sheet in site.rglob("*.css"):
        loaded |= set(_LOADED_BY_CSS.findall(sheet.read_text(encoding="utf-8")))

    assert loaded == set()


def test_every_page_is_reached_from_the_first(site: Path, pages: dict[Path, Html]) -> None:
    waiting, reached = [site / "index.html"], set()
    while waiting:
        page = waiting.pop()
        if page in pages and page not in reached:
            reached.add(page)
            waiting += [target(page, address) for address in pages[page].linked if not is_elsewhere(address)]

    assert set(pages) - reached == set()


def test_every_document_is_a_page(pages: dict[Path, Html], site: Path) -> None:
    built = {page.relative_to(ROOT).with_suffix(".html") for page in PAGES}
    expected = {site / (path.with_name("index.html") if path.name == "README.html" else path) for path in built}

    assert expected - set(pages) == set()


def test_no_list_was_taken_for_a_paragraph(site: Path, pages: dict[Path, Html]) -> None:
    """GitHub begins a list right after a line of text, the site only after an empty line."""
    merged = re.compile(r"^([-*]|\d+\.) ", re.MULTILINE)

    assert [
        f"{page.relative_to(site)}: {text[:80]}"
        for page, html in pages.items()
        for text in html.paragraphs
        if merged.search(text)
    ] == []
