"""At the container's start, the models are awaited, pulled if configured, and loaded."""

from __future__ import annotations

import json
import logging
import os
import signal
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

from app.translation import models, pulls
from app.translation.engine.ollama import Ollama, OllamaError
from app.translation.engine.pull import Pull
from app.translation.model.settings import Settings as ModelSettings
from app.translation.settings import TranslationSettings
from app.translation.tests.unit.model.test_model_misbehave import serving
from tandem.broker.errors import PermanentError
from tandem.config import settings

Prepare = Callable[..., list[str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return the port of a model server that has models to pull."""
    monkeypatch.setattr("app.translation.model.catalogue._measure", lambda _data: (9_000_000, "aeda25e63ebd"))
    with serving(ModelSettings(port=0, test_models=True, delay=0.1)) as port:
        yield port


@pytest.fixture
def startup(application: Flask) -> Any:
    """Import the module, with the application's Redis."""
    from app.translation import startup

    return startup


@pytest.fixture
def prepare(startup: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Prepare]:
    """Run `prepare` with these settings and return the lines of the log."""
    from app.translation import actors

    monkeypatch.setattr(startup, "MIN_BACKOFF", 0.01)
    caplog.set_level(logging.INFO, "app.translation.startup")

    def run(port: int, **more: str) -> list[str]:
        for name, value in {"OLLAMA_URL": f"http://127.0.0.1:{port}", "OLLAMA_MODELS": "", **more}.items():
            monkeypatch.setenv(name, value)
        settings.reset()
        actors.ollama.cache_clear()
        startup.prepare(TranslationSettings.current())
        return [record.getMessage() for record in caplog.records]

    yield run
    settings.reset()
    actors.ollama.cache_clear()


def get(port: int, path: str) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def listed(port: int) -> set[str]:
    return {model["name"] for model in get(port, "/api/tags")["models"]}


def test_an_available_model_is_loaded_with_the_context_of_real_calls(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_NUM_CTX="2048")

    assert lines[0] == "the model apertium is available"
    assert lines[1].startswith("the model apertium was loaded in 0.")
    assert [(model["name"], model["context_length"]) for model in get(server, "/api/ps")["models"]] == [
        ("apertium:latest", 2048)
    ]


def test_a_missing_model_is_reported_with_the_command_and_not_pulled(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="apertium-absent")

    assert lines == [
        f"Ollama at http://127.0.0.1:{server} does not have the model apertium-absent: "
        "run `ollama pull apertium-absent` there, or set OLLAMA_PULL=1"
    ]
    assert "apertium-absent:latest" not in listed(server)


def test_missing_models_are_pulled_and_the_progress_is_logged(
    server: int, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    notified: list[Pull] = []
    monkeypatch.setattr(pulls, "report", lambda pull, seconds: notified.append(pull))

    lines = prepare(server, OLLAMA_MODEL="apertium-absent", OLLAMA_MODELS="apertium", OLLAMA_PULL="1")

    percents = [line for line in lines if "%" in line]
    assert len(percents) >= 20
    assert percents[0] == "pulling apertium-absent: 5 % of 9 MB"
    assert percents[-1] == "pulling apertium-absent: 100 % of 9 MB"
    assert notified[0] == Pull("apertium-absent", "pulling manifest", 0, 0)
    assert lines[-3] == "the model apertium-absent is available"
    assert "was loaded in" in lines[-2]
    assert lines[-1] == "the model apertium is available"
    assert "apertium-absent:latest" in listed(server)
    assert pulls.running() is None


def test_an_interrupted_pull_is_retried(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="apertium-absent-cut", OLLAMA_PULL="1")

    (broken,) = [line for line in lines if "retrying in" in line]
    assert "cannot be reached or hung up" in broken
    assert "apertium-absent-cut:latest" in listed(server)
    after = [line for line in lines[lines.index(broken) :] if "%" in line]
    assert after[0] == "pulling apertium-absent-cut: 50 % of 9 MB"


def test_a_nonexistent_model_is_given_up(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="nobodys:1b", OLLAMA_PULL="1")
    assert lines[-1] == (
        "the model nobodys:1b cannot be pulled: the pull broke off: pull model manifest: file does not exist"
    )


def test_a_server_that_starts_later_is_awaited(startup: Any, prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as house:

        def pause(_seconds: float) -> None:
            house.enter_context(serving(ModelSettings(port=port)))

        monkeypatch.setattr(startup, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
        lines = prepare(port)

    assert "failed to list its models" in lines[0] and lines[0].endswith("; retrying in 0 s")
    assert lines[-1].startswith("the model apertium was loaded in")


def test_pauses_grow_up_to_a_minute(startup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    def attempt() -> str:
        if len(pauses) < 9:
            raise OllamaError("away")
        return "there"

    assert startup._retry(attempt) == "there"
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_model_that_cannot_be_loaded_is_left_to_the_first_translation(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="apertium-500", OLLAMA_PATIENCE="0")
    assert lines[-1].startswith("the model apertium-500 is not loaded yet: Ollama is not ready (500)")


@pytest.fixture
def scripted() -> Iterator[Callable[[bytes], Ollama]]:
    """A server that answers a pull with these bytes and then repeats the last line, or sends nothing."""
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
def test_a_stalled_pull_is_detected(scripted: Callable[..., Ollama], again: bytes, reason: str) -> None:
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
def test_an_error_in_a_pull_is_raised(scripted: Callable[..., Ollama], end: bytes, reason: str, final: bool) -> None:
    with pytest.raises(OllamaError, match=reason) as error:
        list(scripted(LAYER + end).pull("m"))
    assert isinstance(error.value, PermanentError) == final


def test_the_layers_of_a_model_are_added_up(scripted: Callable[..., Ollama]) -> None:
    lines = LAYER + LAYER.replace(b'"a"', b'"b"').replace(b"100", b"300") + b'{"status":"success"}\n'
    *_, both, last = scripted(lines).pull("m")
    assert (both.completed, both.total, both.percent) == (80, 400, 20)
    assert last.status == "success"


def test_only_configured_models_are_prepared() -> None:
    assert models.configured(TranslationSettings(ollama_model="a", ollama_models=("*",))) == ("a",)


def test_the_pull_of_a_predecessor_is_deleted_at_the_start(server: int, prepare: Prepare) -> None:
    prepare(server)
    pulls.report(Pull("nope:1b", "pulling manifest", 0, 0), seconds=300)
    pulls.report_failure(pulls.Failure("nope:2b", "no such host", final=True))
    pulls.report(Pull("nope:1b", "pulling manifest", 0, 0), seconds=300)

    prepare(server)

    assert pulls.running() is None
    assert pulls.failure("nope:2b") is None


def test_the_pull_is_deleted_at_sigterm(server: int, prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = pulls.report

    def stop(pull: Pull, *, seconds: int) -> None:
        tell(pull, seconds=seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(pulls, "report", stop)
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit):
        prepare(server, OLLAMA_MODEL="apertium-absent", OLLAMA_PULL="1")

    assert pulls.running() is None
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_pull_that_fails_temporarily_reports_the_reason_until_it_continues(
    server: int, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    notified: list[pulls.Failure] = []
    monkeypatch.setattr(pulls, "report_failure", notified.append)
    prepare(server, OLLAMA_MODEL="apertium-absent-cut", OLLAMA_PULL="1")

    assert [(failure.model, failure.final) for failure in notified] == [("apertium-absent-cut", False)]
    assert pulls.failure("apertium-absent-cut") is None


def test_an_embedding_model_is_reported_and_not_loaded(server: int, prepare: Prepare) -> None:
    lines = prepare(server, OLLAMA_MODEL="apertium-embedding")
    assert "cannot translate" in lines[-1]
    assert get(server, "/test/calls")["loads"] == []


def test_a_model_is_known_by_any_of_its_names(server: int, prepare: Prepare) -> None:
    assert prepare(server, OLLAMA_MODEL="library/Apertium")[0] == "the model library/Apertium is available"
