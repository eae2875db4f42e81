"""Somebody at the operations page: what is done there, what is seen, and what the browser complains about."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect
from playwright.sync_api import Error as PlaywrightError

MAX_MS = 30_000
OPENINGS = 3
# Chromium's own message about an error response.
_REMARK = "Failed to load resource"


class Operator:
    """A tab of a browser at the operations page of a container."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.context = context
        self.complaints: list[str] = []
        self.requests: list[str] = []
        context.on("request", self._note_request)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(MAX_MS)
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))

    def _note_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        self.requests.append(address.path)
        if address.scheme not in ("blob", "data") and address.netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"a request to another host: {request.url}")

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_REMARK):
            self.complaints.append(f"{message.type}: {message.text}")

    def open(self, path: str = "/ops") -> Operator:
        """Open a path."""
        for attempt in range(OPENINGS):
            try:
                self.page.goto(self.url + path)
                return self
            except PlaywrightError as error:
                # Chromium aborts a page load when any container on this machine starts or stops.
                if "ERR_NETWORK_CHANGED" not in str(error) or attempt == OPENINGS - 1:
                    raise
        return self

    def sign_in(self, token: str) -> Operator:
        """Sign in with the form."""
        self.open("/ops")
        self.page.get_by_label("The OPS_TOKEN").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        return self.sees("Overview")

    def press(self, button: str, *, confirm: bool = False) -> Operator:
        """Press a button, and on the page that asks the one that says yes."""
        self.page.get_by_role("button", name=button, exact=True).locator("visible=true").first.click()
        if confirm:
            self.page.get_by_role("button", name="Yes, do it").click()
        return self

    def sees(self, text: str) -> Operator:
        """Wait until this text is visible."""
        expect(self.page.get_by_text(text).locator("visible=true").first).to_be_visible(timeout=MAX_MS)
        return self

    def sees_not(self, text: str) -> Operator:
        """Wait until this text is not visible."""
        expect(self.page.get_by_text(text).locator("visible=true")).to_have_count(0, timeout=MAX_MS)
        return self

    @property
    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than the screen."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def picture(self, name: str, folder: str | None) -> None:
        """Take a picture of the whole page, if there is a folder for it."""
        if folder:
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
