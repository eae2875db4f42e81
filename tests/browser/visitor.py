"""Somebody who uses the page: what they do, what they see, and what their browser complains about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Download, FilePayload, Page, Request, Response, expect
from playwright.sync_api import Error as PlaywrightError

#: Where pictures of each state are put, and those of tests that failed.
SCREENSHOTS = os.environ.get("TANDEM_SCREENSHOTS")
#: Of every wait: much more than it takes, because a test machine can be busy.
LONGEST_MS = 45_000
OPENINGS = 3
PARAGRAPH = "The red house is very beautiful today. Yesterday I read a good book about the history of the sea."
#: Chromium's own remark on an answer that is an error or does not come: the page has to cope with it, and is told so.
_REMARK = "Failed to load resource"


class Visitor:
    """A tab of a browser at the page of a container."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self.context = context
        self._interrupted = False
        context.on("request", self._note_request)
        context.on("requestfailed", self._note_failure)
        self.page = self.new_tab()

    def new_tab(self) -> Page:
        """Another tab of the same browser, which is watched as well."""
        page = self.context.new_page()
        page.set_default_timeout(LONGEST_MS)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        return page

    def _note_request(self, request: Request) -> None:
        self.requests.append(request)
        address = urlsplit(request.url)
        if address.scheme not in ("blob", "data") and address.netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"a request to another host: {request.url}")

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_REMARK):
            self.complaints.append(f"{message.type}: {message.text}")

    def open(self, path: str = "/") -> Visitor:
        """Goes there, and waits until the page has asked for the models."""
        for _ in range(OPENINGS):
            self._interrupted = False
            try:
                with self.page.expect_response(_has_models, timeout=LONGEST_MS / OPENINGS):
                    self.page.goto(self.url + path)
                return self
            except PlaywrightError:
                # Chromium drops what it is loading when any container on this machine comes or goes.
                if not self._interrupted:
                    raise
        raise AssertionError(f"the network changed at each of {OPENINGS} openings")

    def _note_failure(self, request: Request) -> None:
        self._interrupted |= "ERR_NETWORK_CHANGED" in (request.failure or "")

    def write(self, text: str, *, source: str = "en", target: str = "es", model: str | None = None) -> Visitor:
        """Fills the form in."""
        self.page.get_by_label("Text to translate").fill(text)
        self.page.get_by_label("From").select_option(source)
        self.page.get_by_label("To", exact=True).select_option(target)
        if model:
            self.page.get_by_label("Model").select_option(model)
        return self

    def send(self) -> Visitor:
        """Presses the button."""
        self.page.get_by_role("button", name="Translate").click()
        return self

    def translate(self, text: str, **choices: Any) -> Visitor:
        """Fills the form in and presses the button."""
        return self.write(text, **choices).send()

    def choose(self, name: str, content: bytes) -> Visitor:
        """Chooses a file."""
        self.page.get_by_label("Choose a file").set_input_files(payload(name, content))
        return self

    def drop(self, *files: tuple[str, str]) -> Visitor:
        """Drops files, given by name and content, onto the text."""
        transfer = self.page.evaluate_handle(_TRANSFER, list(files))
        for event in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event("#text", event, {"dataTransfer": transfer})
        return self

    def sees(self, text: str) -> Visitor:
        """Waits until this is to be seen."""
        expect(self.page.get_by_text(text).locator("visible=true").first).to_be_visible(timeout=LONGEST_MS)
        return self

    def sees_result(self, text: str | None = None) -> Visitor:
        """Waits until there is a translation, with these words."""
        result = self.page.get_by_role("region", name="Translated text")
        expect(result).to_be_visible(timeout=LONGEST_MS)
        if text is not None:
            expect(result).to_have_text(text)
        return self

    def sees_problem(self, text: str) -> Visitor:
        """Waits until an error says this."""
        expect(self.page.locator("#problem")).to_contain_text(text)
        return self

    def download(self) -> Download:
        """Presses Download."""
        with self.page.expect_download() as started:
            self.page.get_by_role("button", name="Download").click()
        return started.value

    @property
    def translation_id(self) -> str:
        """The id in the address."""
        return urlsplit(self.page.url).fragment

    @property
    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def focus(self) -> str:
        """The name of what has the focus: its id or its words."""
        return str(self.page.evaluate(_FOCUS))

    def tab_to(self, name: str, *, at_most: int = 25) -> Visitor:
        """Presses Tab until the focus is there, and looks that it can be seen on the way."""
        passed: list[str] = []
        for _ in range(at_most):
            self.page.keyboard.press("Tab")
            passed.append(self.focus())
            if passed[-1] == name:
                assert self.page.evaluate(_SEES_FOCUS), f"no mark of the focus at {name}"
                return self
        raise AssertionError(f"Tab does not reach {name}, but {passed}")

    def picture(self, name: str, folder: str | Path | None = SCREENSHOTS) -> Path | None:
        """A picture of the whole page, where somebody wants one."""
        if not folder:
            return None
        path = Path(folder) / f"{name}.png"
        self.page.screenshot(path=path, full_page=not self.page.locator("dialog[open]").count())
        return path

    def sent(self, method: str, ending: str) -> Sequence[Request]:
        """The requests with a path that ends so."""
        return [request for request in self.requests if request.method == method and request.url.endswith(ending)]


def _has_models(response: Response) -> bool:
    return response.url.endswith("/models")


def payload(name: str, content: bytes) -> FilePayload:
    """A file as Playwright hands it over."""
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


_TRANSFER = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) transfer.items.add(new File([content], name));
  return transfer;
}"""
_FOCUS = "document.activeElement.id || document.activeElement.textContent.trim()"
# The mark of a control that cannot be seen itself is on its label, that of a field without a border on its box.
_SEES_FOCUS = """() => {
  const here = document.activeElement;
  const marked = [here, here.nextElementSibling, here.closest(".box")].filter(Boolean);
  return marked.some((element) => getComputedStyle(element).outlineStyle === "solid");
}"""
