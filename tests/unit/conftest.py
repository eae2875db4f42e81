"""The platform's tests run on a neutral application."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def neutral_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_APP", "tests.testapp")
