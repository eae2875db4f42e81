"""A visitor of the page: actions, expectations, and the errors that the browser reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Download, FilePayload, Page, Request, Response, expect
from playwright.sync_api import Error as PlaywrightError

from tests.browser.fixtures import SCREENSHOTS

#: The timeout of every wait: much longer than needed, because a test machine can be busy.
MAX_MS = 45_000
OPENINGS = 3
PARAGRAPH = "The red house is very beautiful today. Yesterday I read a good book about the history of the sea."
#: Chromium's own message about a failed request or an error response, which the page has to handle.
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
        """Open another tab of the same browser and watch it as well."""
        page = self.context.new_page()
        page.set_default_timeout(MAX_MS)
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
        """Open a path and wait until the page has requested the models."""
        for _ in range(OPENINGS):
            self._interrupted = False
            try:
                with self.page.expect_response(_has_models, timeout=MAX_MS / OPENINGS):
                    self.page.goto(self.url + path)
                return self
            except PlaywrightError:
                # Chromium aborts a page load when any container on this machine starts or stops.
                if not self._interrupted:
                    raise
        raise AssertionError(f"the network changed at each of {OPENINGS} openings")

    def _note_failure(self, request: Request) -> None:
        self._interrupted |= "ERR_NETWORK_CHANGED" in (request.failure or "")

    def write(self, text: str, *, source: str = "en", target: str = "es", model: str | None = None) -> Visitor:
        """Fill in the form."""
        self.page.get_by_label("Text to translate").fill(text)
        self.page.get_by_label("From").select_option(source)
        self.page.get_by_label("To", exact=True).select_option(target)
        if model:
            self.page.get_by_label("Model").select_option(model)
        return self

    def send(self) -> Visitor:
        """Press the button."""
        self.page.get_by_role("button", name="Translate").click()
        return self

    def translate(self, text: str, **choices: Any) -> Visitor:
        """Fill in the form and press the button."""
        return self.write(text, **choices).send()

    def choose(self, name: str, content: bytes) -> Visitor:
        """Choose a file."""
        self.page.get_by_label("Choose a file").set_input_files(payload(name, content))
        return self

    def drop(self, *files: tuple[str, str]) -> Visitor:
        """Drop files, given by name and content, onto the text."""
        transfer = self.page.evaluate_handle(_TRANSFER, list(files))
        for event in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event("#text", event, {"dataTransfer": transfer})
        return self

    def sees(self, text: str) -> Visitor:
        """Wait until this text is visible."""
        expect(self.page.get_by_text(text).locator("visible=true").first).to_be_visible(timeout=MAX_MS)
        return self

    def sees_result(self, text: str | None = None) -> Visitor:
        """Wait until a translation is visible, with this text if given."""
        result = self.page.get_by_role("region", name="Translated text")
        expect(result).to_be_visible(timeout=MAX_MS)
        if text is not None:
            expect(result).to_have_text(text)
        return self

    def sees_problem(self, text: str) -> Visitor:
        """Wait until an error contains this text."""
        expect(self.page.locator("#problem")).to_contain_text(text)
        return self

    def download(self) -> Download:
        """Press Download."""
        with self.page.expect_download() as started:
            self.page.get_by_role("button", name="Download").click()
        return started.value

    @property
    def translation_id(self) -> str:
        """Return the id in the URL."""
        return urlsplit(self.page.url).fragment

    @property
    def scrolls_sideways(self) -> bool:
        """Return whether the page is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def focus(self) -> str:
        """Return the id or the text of the focused element."""
        return str(self.page.evaluate(_FOCUS))

    def tab_to(self, name: str, *, at_most: int = 25) -> Visitor:
        """Press Tab until the named element has the focus, and check that its focus is visible."""
        passed: list[str] = []
        for _ in range(at_most):
            self.page.keyboard.press("Tab")
            passed.append(self.focus())
            if passed[-1] == name:
                assert self.page.evaluate(_SEES_FOCUS), f"the focus of {name} is not visible"
                return self
        raise AssertionError(f"Tab does not reach {name}, but {passed}")

    def picture(self, name: str, folder: str | Path | None = SCREENSHOTS) -> Path | None:
        """Take a screenshot of the whole page, if a folder is given."""
        if not folder:
            return None
        path = Path(folder) / f"{name}.png"
        self.page.screenshot(path=path, full_page=not self.page.locator("dialog[open]").count())
        return path

    def sent(self, method: str, ending: str) -> Sequence[Request]:
        """Return the requests whose URL ends like this."""
        return [request for request in self.requests if request.method == method and request.url.endswith(ending)]


def _has_models(response: Response) -> bool:
    return response.url.endswith("/models")


def payload(name: str, content: bytes) -> FilePayload:
    """Build a file for Playwright."""
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


_TRANSFER = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) transfer.items.add(new File([content], name));
  return transfer;
}"""
_FOCUS = "document.activeElement.id || document.activeElement.textContent.trim()"
# The focus of an invisible control is shown on its label, that of a field without a border on its box.
_SEES_FOCUS = """() => {
  const here = document.activeElement;
  const marked = [here, here.nextElementSibling, here.closest(".box")].filter(Boolean);
  return marked.some((element) => getComputedStyle(element).outlineStyle === "solid");
}"""
