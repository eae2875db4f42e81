"""The actor and `init` against a server on a socket that behaves as Ollama."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.translation import call_monitor, pulls
from app.translation.model.settings import Settings as ModelSettings
from app.translation.settings import TranslationSettings
from app.translation.tests.unit.model.test_model_misbehave import calls, serving
from tandem.broker.errors import PermanentError, Snooze
from tandem.config import settings

pytestmark = pytest.mark.slow

TEXT = "one two three four"
Serve = Callable[..., int]


@pytest.fixture
def actors(application: Flask) -> Any:
    from app.translation import actors

    return actors


@pytest.fixture
def serve(actors: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server and configure this process to use it, with further settings if given."""
    cached = (actors.store, actors.breaker, actors.ollama, actors.translator)
    monkeypatch.setattr(call_monitor, "POLL_INTERVAL", 0.05)
    with ExitStack() as servers:

        def start(server: ModelSettings, **more: str) -> int:
            port = servers.enter_context(serving(server))
            for name, value in {"OLLAMA_URL": f"http://127.0.0.1:{port}", "TRANSLATION_CACHE": "0", **more}.items():
                monkeypatch.setenv(name, value)
            settings.reset()
            for one in cached:
                one.cache_clear()
            return port

        yield start
    settings.reset()
    for one in cached:
        one.cache_clear()


def queued(client: FlaskClient, model: str, text: str = TEXT) -> str:
    answer = client.post("/translations", json={"text": text, "source": "en", "target": "es", "model": model})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def deliver(actors: Any, id_: str, times: int = 20) -> int:
    """Deliver its message until it is not snoozed; return the number of snoozes."""
    for put_off in range(times):
        try:
            actors.translate.fn(id_)
        except Snooze as wait:
            time.sleep((wait.delay or 0) / 1000)
        else:
            return put_off
    raise AssertionError("it never ended")


def test_the_warm_up_and_real_calls_load_the_model_once(client: FlaskClient, actors: Any, serve: Serve) -> None:
    from app.translation.startup import prepare

    port = serve(ModelSettings(port=0, test_models=True, load=0.1))
    prepare(TranslationSettings.current())
    deliver(actors, queued(client, "apertium"))
    prepare(TranslationSettings.current())

    assert len(calls(port)["loads"]) == 1


def test_a_load_that_is_longer_than_the_timeout_succeeds_at_the_start(actors: Any, serve: Serve) -> None:
    from app.translation.startup import prepare

    port = serve(ModelSettings(port=0, test_models=True, load=1.5), OLLAMA_TIMEOUT="1")
    prepare(TranslationSettings.current())
    assert [line.split()[0] for line in calls(port)["loads"]] == ["load"]


def test_a_load_that_is_longer_than_the_timeout_succeeds_for_a_translation(
    client: FlaskClient, actors: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "MAX_WARM_SECONDS", 1.0)
    port = serve(ModelSettings(port=0, test_models=True, load=2.5), OLLAMA_TIMEOUT="1")
    id_ = queued(client, "apertium")

    assert deliver(actors, id_) == 1
    assert client.get(f"/translations/{id_}").get_json()["status"] == "done"
    assert [line.split()[0] for line in calls(port)["loads"]] == ["load", "aborting", "load"]


def test_waiting_for_a_slot_is_not_silence(client: FlaskClient, actors: Any, serve: Serve) -> None:
    """Four concurrent calls are served one after another, and each takes most of the timeout."""
    port = serve(ModelSettings(port=0, test_models=True, delay=0.8, parallel=1), OLLAMA_TIMEOUT="1")
    ids = [queued(client, "apertium-slow-words", f"{TEXT} {word}") for word in ("five", "six", "seven", "eight")]

    with ThreadPoolExecutor(4) as threads:
        put_off = list(threads.map(lambda id_: deliver(actors, id_, times=1), ids))

    assert put_off == [0] * 4
    assert calls(port)["most_running"] == 1


def test_a_temporarily_unreachable_server_fails_no_translation(client: FlaskClient, actors: Any, serve: Serve) -> None:
    port = serve(ModelSettings(port=0, test_models=True))
    with ExitStack() as house:
        monkey = pytest.MonkeyPatch()
        house.callback(monkey.undo)
        monkey.setenv("OLLAMA_URL", "http://127.0.0.1:9")
        settings.reset()
        actors.ollama.cache_clear()
        actors.translator.cache_clear()
        ids = [queued(client, "apertium", f"{TEXT} {number}") for number in range(10)]
        for id_ in ids:
            with pytest.raises(Snooze):
                actors.translate.fn(id_)
    settings.reset()
    for one in (actors.ollama, actors.translator):
        one.cache_clear()

    for id_ in ids:
        deliver(actors, id_)

    assert {client.get(f"/translations/{id_}").get_json()["status"] for id_ in ids} == {"done"}
    assert len(calls(port)["texts"]) == 10


@pytest.mark.parametrize(("kind", "attempts"), [("no-room-then-well", 0), ("503-then-well", 0), ("eof-then-well", 1)])
def test_temporary_errors_are_distinguished_from_those_of_a_text(
    client: FlaskClient, actors: Any, serve: Serve, kind: str, attempts: int
) -> None:
    serve(ModelSettings(port=0, test_models=True, failures=1))
    id_, failed = queued(client, f"apertium-{kind}"), 0
    try:
        deliver(actors, id_)
    except actors.OllamaError as error:
        assert not isinstance(error, PermanentError)
        failed += 1
        deliver(actors, id_)

    assert failed == attempts
    assert client.get(f"/translations/{id_}").get_json()["status"] == "done"


def test_repeated_tokens_are_reported_as_a_loop_after_three_attempts(
    client: FlaskClient, actors: Any, serve: Serve
) -> None:
    port = serve(ModelSettings(port=0, test_models=True))
    with pytest.raises(actors.NothingTranslated, match="again and again"):
        actors.translate.fn(queued(client, "apertium-repeat"))
    assert calls(port)["chat"] == 3


def test_a_part_that_does_not_fit_the_trained_context_is_translated_in_pieces(
    client: FlaskClient, actors: Any, serve: Serve
) -> None:
    serve(ModelSettings(port=0, test_models=True))
    text = "The red house is very old. It has a green garden with many flowers. " * 8
    id_ = queued(client, "apertium-narrow", text.strip())

    deliver(actors, id_)

    seen = client.get(f"/translations/{id_}").get_json()
    # This server's translator returns the text in upper case.
    assert {problem["kind"] for problem in seen["problems"]} <= {"echo"}
    assert seen["translation"] == text.strip().upper()


@pytest.mark.parametrize(
    ("model", "final", "reason"),
    [("apertium-absent-newer", True, "newer version of Ollama"), ("nobodys:1b", True, "file does not exist")],
)
def test_the_reason_of_a_failed_pull_is_reported_everywhere(
    client: FlaskClient, actors: Any, serve: Serve, model: str, final: bool, reason: str
) -> None:
    from app.translation.startup import prepare

    serve(ModelSettings(port=0, test_models=True), OLLAMA_MODEL=model, OLLAMA_PULL="1", OLLAMA_MODELS="")
    prepare(TranslationSettings.current())

    failure = pulls.failure(model)
    assert failure
    assert failure.final == final
    with pytest.raises(PermanentError, match=reason):
        actors.translate.fn(queued(client, model))
