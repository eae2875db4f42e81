"""Fixtures: containers whose operations page is open, and somebody who visits it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from testcontainers.core.network import Network

from tests.browser.operator import Operator
from tests.integration.containers import running_until_left
from tests.integration.tandem import Tandem, await_true

TOKEN, READ_TOKEN = "operator-token-0123456789", "reader-token-0123456789"
SETTINGS = {
    "OPS_TOKEN": TOKEN,
    "OPS_READ_TOKEN": READ_TOKEN,
    "OPS_TRACE_URL": "http://127.0.0.1/trace/{trace_id}",
    "RETRY_DELAY": "100",
    "MAX_RETRIES": "1",
    "ALERT_INTERVAL": "3600",
}

Visit = Callable[..., Operator]


@pytest.fixture(scope="session")
def fresh(network: Network) -> Iterator[Tandem]:
    """A container for tests that change what is in it."""
    yield from running_until_left(Tandem(network, SETTINGS))


@pytest.fixture(scope="session")
def seeded(network: Network) -> Iterator[Tandem]:
    """A container in which something of everything happens, for tests that look."""
    for tandem in running_until_left(Tandem(network, SETTINGS)):
        _seed(tandem)
        yield tandem


def _seed(tandem: Tandem) -> None:
    tandem.send("fail", "seed", 1, times=13)
    tandem.send("count", "seed", 1, times=40)
    await_true(lambda: '"failed": 13' in tandem.output("queue", "stats", "--json"), seconds=30, what="the failures")
    tandem.output("queue", "try", "count", '["seed", 2]', "--times", "3", "--delay", "86400000")
    tandem.output("queue", "pause", "urgent")
    tandem.send("overtake", "seed", 1, times=5)
    tandem.send("nap", "seed", 3000)
    tandem.request("POST", "/notes", json={"text": "break"})
    await_true(lambda: failed_note(tandem), seconds=30, what="the note has failed")


def failed_note(tandem: Tandem) -> str:
    """Return the id of the dead letter that a request has sent, or ""."""
    found = [line.split()[-1] for line in tandem.output("queue", "failed", "show").splitlines() if " write " in line]
    return found[0] if found else ""


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Create visitors with browser contexts of their own; fail at the end if a browser reported an error."""
    visitors: list[Operator] = []

    def visit(tandem: Tandem, token: str = TOKEN, **options: Any) -> Operator:
        visitors.append(Operator(browser.new_context(**options), tandem.url))
        return visitors[-1].sign_in(token) if token else visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.context.close()
    assert [visitor.complaints for visitor in visitors] == [[] for _ in visitors]
