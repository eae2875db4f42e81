"""Settings of an unreachable model for tests that do not start one."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_URL", "http://127.0.0.1:9")  # discard: nothing listens there
    monkeypatch.setenv("OLLAMA_MODELS", "*")
