"""The page's HTML and headers; its behaviour is tested in a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient


class Elements(HTMLParser):
    """Collect all elements with their attributes, and the contents of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def elements(client: FlaskClient) -> Elements:
    return Elements(client.get("/").get_data(as_text=True))


def test_a_browser_may_load_nothing_from_elsewhere_and_nothing_inline(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy


def test_the_page_has_no_inline_script_or_style(elements: Elements) -> None:
    for tag, attributes in elements.found:
        assert tag != "style"
        assert tag != "script" or attributes["src"]
        assert not [name for name in attributes if name == "style" or name.startswith("on")], (tag, attributes)


def test_everything_that_the_page_loads_exists(client: FlaskClient, elements: Elements) -> None:
    links = [attributes.get("src") or attributes.get("href") for _, attributes in elements.found]
    files = [link for link in links if link and link.startswith("/static/")]
    modules = {f"/static/translation/{name}" for name in imported(client, "page.js")}

    assert len(files) == 4
    for file in {*files, *modules}:
        assert client.get(file).status_code == 200, file


def imported(client: FlaskClient, name: str) -> set[str]:
    code = client.get(f"/static/translation/{name}").get_data(as_text=True)
    names = set(re.findall(r'from "\./([a-z]+\.js)"', code))
    return names.union(*(imported(client, other) for other in names))
