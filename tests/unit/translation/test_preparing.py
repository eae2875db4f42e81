"""What is done once at the start: models are waited for, pulled where that is wanted, and loaded."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from app import settings
from app.queueing.errors import PermanentError
from app.settings import Settings
from app.translation import models, pulls
from app.translation.engine.ollama import Ollama, OllamaError
from app.translation.engine.pull import Pull
from model.settings import Settings as ModelSettings
from tests.unit.model.test_model_misbehave import serving

Prepare = Callable[..., list[str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a model server that has models to be pulled."""
    monkeypatch.setattr("model.catalogue._measure", lambda _data: (9_000_000, "aeda25e63ebd"))
    with serving(ModelSettings(port=0, test_models=True, delay=0.1)) as port:
        yield port


@pytest.fixture
def preparing(application: Flask) -> Any:
    """The module: it imports the actors, which belong to the broker that is installed then."""
    from app.translation import preparing

    return preparing


@pytest.fixture
def prepare(preparing: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Prepare]:
    """Prepares with these settings and gives the lines of the log."""
    from app.translation import actors

    monkeypatch.setattr(preparing, "FIRST_PAUSE", 0.01)
    caplog.set_level(logging.INFO, "app.translation.preparing")

    def run(port: int, **more: str) -> list[str]:
        for name, value in {"OLLAMA_URL": f"http://127.0.0.1:{port}", "OLLAMA_MODELS": "", **more}.items():
            monkeypatch.setenv(name, value)
        settings.current.cache_clear()
        actors.ollama.cache_clear()
        preparing.prepare(settings.current())
        return [record.getMessage() for record in caplog.records]

    yield run
    settings.current.cache_clear()
    actors.ollama.cache_clear()


def get(port: int, path: str) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def listed(port: int) -> set[str]:
    return {model["name"] for model in get(port, "/api/tags")["models"]}


def test_a_model_that_is_there_is_loaded_with_the_context_of_real_calls(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_NUM_CTX="2048")

    assert lines[0] == "the model apertium is there"
    assert lines[1].startswith("the model apertium was loaded in 0.")
    assert [(model["name"], model["context_length"]) for model in get(server, "/api/ps")["models"]] == [
        ("apertium:latest", 2048)
    ]


def test_a_model_that_is_missing_is_named_with_what_to_type_and_nothing_is_pulled(
    server: int, prepare: Prepare
) -> None:
    lines = prepare(server, OLLAMA_MODEL="apertium-absent")

    assert lines == [
        f"Ollama at http://127.0.0.1:{server} does not have the model apertium-absent: "
        "type `ollama pull apertium-absent` there, or set OLLAMA_PULL=1"
    ]
    assert "apertium-absent:latest" not in listed(server)


def test_missing_models_are_pulled_and_the_progress_is_told(
    server: int, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Pull] = []
    monkeypatch.setattr(pulls, "tell", lambda pull, seconds: told.append(pull))

    lines = prepare(server, OLLAMA_MODEL="apertium-absent", OLLAMA_MODELS="apertium", OLLAMA_PULL="1")

    percents = [line for line in lines if "%" in line]
    assert len(percents) >= 20
    assert percents[0] == "pulling apertium-absent: 5 % of 9 MB"
    assert percents[-1] == "pulling apertium-absent: 100 % of 9 MB"
    assert told[0] == Pull("apertium-absent", "pulling manifest", 0, 0)
    assert lines[-3] == "the model apertium-absent is there"
    assert "was loaded in" in lines[-2]
    assert lines[-1] == "the model apertium is there"
    assert "apertium-absent:latest" in listed(server)
    assert pulls.running() is None


def test_a_pull_that_breaks_off_is_tried_again(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="apertium-absent-cut", OLLAMA_PULL="1")

    (broken,) = [line for line in lines if "the next try is in" in line]
    assert "cannot be reached or hung up" in broken
    assert "apertium-absent-cut:latest" in listed(server)
    behind = [line for line in lines[lines.index(broken) :] if "%" in line]
    assert behind[0] == "pulling apertium-absent-cut: 50 % of 9 MB"


def test_a_model_that_nobody_has_is_given_up(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="nobodys:1b", OLLAMA_PULL="1")
    assert lines[-1] == (
        "the model nobodys:1b cannot be pulled: the pull broke off: pull model manifest: file does not exist"
    )


def test_a_server_that_comes_later_is_waited_for(
    preparing: Any, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as house:

        def pause(_seconds: float) -> None:
            house.enter_context(serving(ModelSettings(port=port)))

        monkeypatch.setattr(preparing, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
        lines = prepare(port)

    assert "does not list its models" in lines[0] and lines[0].endswith("; the next try is in 0 s")
    assert lines[-1].startswith("the model apertium was loaded in")


def test_pauses_grow_up_to_a_minute(preparing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    def attempt() -> str:
        if len(pauses) < 9:
            raise OllamaError("away")
        return "there"

    assert preparing._tried_until_done(attempt) == "there"
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_model_that_cannot_be_loaded_is_left_to_the_first_translation(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="apertium-500")
    assert lines[-1].startswith("the model apertium-500 is not loaded yet: Ollama is not ready (500)")


@pytest.fixture
def scripted() -> Iterator[Callable[[bytes], Ollama]]:
    """A server that answers a pull with these bytes and then keeps sending the last line, or nothing."""
    over = threading.Event()
    servers: list[socket.socket] = []

    def install(lines: bytes, again: bytes = b"") -> Ollama:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" + lines)
                while not over.wait(0.02):
                    try:
                        connection.sendall(again)
                    except OSError:
                        return

        threading.Thread(target=answer, daemon=True).start()
        return Ollama(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.3, num_ctx=2048)

    yield install
    over.set()
    for server in servers:
        server.close()


LAYER = b'{"status":"pulling a","digest":"a","total":100,"completed":40}\n'


@pytest.mark.parametrize(("again", "reason"), [(b"", "was silent for too long"), (LAYER, "has stalled at 40 %")])
def test_a_pull_that_stalls_is_noticed(scripted: Callable[..., Ollama], again: bytes, reason: str) -> None:
    with pytest.raises(OllamaError, match=reason) as error:
        list(scripted(LAYER, again).pull("m"))
    assert not isinstance(error.value, PermanentError)


@pytest.mark.parametrize(
    ("end", "reason", "final"),
    [
        (b'{"error":"max retries exceeded: no space left on device"}\n', "no space left", False),
        (b'{"error":"pull model manifest: file does not exist"}\n', "does not exist", True),
        (b'{"error":"invalid model name"}\n', "invalid model name", True),
    ],
)
def test_an_error_in_a_pull_is_told(scripted: Callable[..., Ollama], end: bytes, reason: str, final: bool) -> None:
    with pytest.raises(OllamaError, match=reason) as error:
        list(scripted(LAYER + end).pull("m"))
    assert isinstance(error.value, PermanentError) == final


def test_the_layers_of_a_model_are_added_up(scripted: Callable[..., Ollama]) -> None:
    lines = LAYER + LAYER.replace(b'"a"', b'"b"').replace(b"100", b"300") + b'{"status":"success"}\n'
    *_, both, last = scripted(lines).pull("m")
    assert (both.completed, both.total, both.percent) == (80, 400, 20)
    assert last.status == "success"


def test_only_configured_models_are_prepared() -> None:
    assert models.configured(Settings(ollama_model="a", ollama_models=("*",))) == ("a",)
