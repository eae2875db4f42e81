"""A real Chromium, and the screens on which every page has to look well."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: The folder for pictures of each state of the pages, and of failed tests.
SCREENSHOTS = os.environ.get("TANDEM_SCREENSHOTS")
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True, "is_mobile": True},
    "small-phone": {"viewport": {"width": 320, "height": 568}, "color_scheme": "dark", "reduced_motion": "reduce"},
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for the tests of all pages: Playwright can be started only once in a process."""
    from playwright.sync_api import sync_playwright  # tests without a browser do not wait for it

    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "chromium not found on the PATH: bin/test browser installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
