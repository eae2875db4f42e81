"""Fixtures: a browser, a visitor of the page, and the containers that serve it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Error as PlaywrightError
from testcontainers.core.network import Network

from app.translation.tests.browser.visitor import Visitor
from app.translation.tests.integration.fixtures import model, start
from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.browser.fixtures import SCREENSHOTS
from tests.integration.containers import running_until_left

__all__ = ["model", "start"]

TOKEN = "a-token-for-the-tests-of-the-page"  # noqa: S105
# Requests may name models that stall or return the source; failures are retried only once, and no answer is cached.
SETTINGS = {
    "OLLAMA_MODELS": "apertium-echo,apertium-stall",
    "MAX_RETRIES": "1",
    "RETRY_DELAY": "10",
    "TRANSLATION_CACHE": "0",
}

Visit = Callable[..., Visitor]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # After the teardown the tabs are closed.
    if report.failed and report.when != "teardown" and Path(item.path).is_relative_to(Path(__file__).parent):
        _add_pictures(report, item)
    return report


def _add_pictures(report: pytest.TestReport, item: pytest.Item) -> None:
    for number, visitor in enumerate(getattr(item, "funcargs", {}).get("visitors", [])):
        try:
            picture = str(visitor.picture(f"failed-{item.name}-{number}", SCREENSHOTS or gettempdir()))
        except PlaywrightError as error:
            picture = f"none could be taken: {error.message}"
        report.sections.append(("screenshot", picture))


@pytest.fixture(scope="session")
def app(network: Network, model: Model) -> Iterator[Tandem]:
    yield from running_until_left(Tandem(network, SETTINGS))


@pytest.fixture(scope="session")
def locked_app(network: Network, model: Model) -> Iterator[Tandem]:
    """A container that requires a token."""
    yield from running_until_left(Tandem(network, SETTINGS | {"API_TOKEN": TOKEN}))


@pytest.fixture
def visitors() -> list[Visitor]:
    return []


@pytest.fixture
def visit(browser: Browser, visitors: list[Visitor]) -> Iterator[Visit]:
    """Create visitors with separate browser contexts; fail at the end if a browser reported an error."""

    def visit(tandem: Tandem, **options: Any) -> Visitor:
        context = browser.new_context(accept_downloads=True, **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=tandem.url)
        visitors.append(Visitor(context, tandem.url))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.context.close()
    assert [visitor.complaints for visitor in visitors] == [[] for _ in visitors]


@pytest.fixture
def visitor(visit: Visit, app: Tandem) -> Visitor:
    """A visitor with the page open."""
    return visit(app).open()
