"""Models of the offline server that are not there until they are pulled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead

import pytest

from app.translation.model.settings import Settings
from app.translation.tests.unit.model.test_model_misbehave import serving

pytestmark = pytest.mark.slow


@pytest.fixture
def port() -> Iterator[int]:
    with serving(Settings(port=0, test_models=True, delay=0.02)) as number:
        yield number


def ask(port: int, method: str, path: str, body: object = None) -> list[dict[str, object]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body).encode())
        return [json.loads(line) for line in connection.getresponse().read().splitlines()]
    finally:
        connection.close()


def is_listed(port: int, name: str) -> bool:
    return f'"{name}:latest"' in json.dumps(ask(port, "GET", "/api/tags"))


def test_an_absent_model_is_there_after_its_pull(port: int) -> None:
    assert not is_listed(port, "apertium-absent")
    assert ask(port, "POST", "/api/show", {"model": "apertium-absent"})[0] == {
        "error": "model 'apertium-absent' not found"
    }

    lines = ask(port, "POST", "/api/pull", {"model": "apertium-absent"})

    assert lines[-1] == {"status": "success"}
    assert len([line for line in lines if "completed" in line]) == 21
    assert is_listed(port, "apertium-absent")
    assert len(ask(port, "POST", "/api/pull", {"model": "apertium-absent"})) < 10


def test_a_pull_breaks_off_once_and_goes_on_where_it_was(port: int) -> None:
    with pytest.raises(IncompleteRead):
        ask(port, "POST", "/api/pull", {"model": "apertium-absent-cut"})
    assert not is_listed(port, "apertium-absent-cut")

    lines = ask(port, "POST", "/api/pull", {"model": "apertium-absent-cut"})

    assert lines[-1] == {"status": "success"}
    assert len([line for line in lines if "completed" in line]) == 11
    assert is_listed(port, "apertium-absent-cut")


@pytest.mark.parametrize("name", ["Apertium", "library/apertium", "APERTIUM:latest"])
def test_names_are_compared_without_case_and_with_their_defaults(port: int, name: str) -> None:
    assert "capabilities" in ask(port, "POST", "/api/show", {"model": name})[0]


def test_a_model_for_embeddings_says_so(port: int) -> None:
    assert ask(port, "POST", "/api/show", {"model": "apertium-embedding"})[0]["capabilities"] == ["embedding"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("apertium-absent-offline", "server misbehaving"), ("apertium-absent-newer", "newer version of Ollama")],
)
def test_pulls_that_fail_say_why_in_a_line(port: int, name: str, error: str) -> None:
    lines = ask(port, "POST", "/api/pull", {"model": name})
    assert lines[0] == {"status": "pulling manifest"}
    assert error in str(lines[-1]["error"])
    assert not is_listed(port, name)
