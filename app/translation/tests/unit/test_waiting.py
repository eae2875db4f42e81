"""A model that is unreachable, loading, being pulled or busy uses up no attempt within OLLAMA_PATIENCE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.translation import pulls
from app.translation.engine.ollama import Call, ModelMissing, NoAnswer, Ollama, OllamaError, Unavailable
from app.translation.engine.pull import Pull
from app.translation.parts import Part
from tandem.broker.errors import PermanentError, Snooze
from tandem.config import settings
from tandem.testing.stopped_clock import Clock

pytestmark = pytest.mark.slow

TWO = "The red house is old.\n\nThe garden is green."
AWAY = Unavailable("Ollama at http://model:11434 cannot be reached or hung up: refused")


class FakeOllama:
    """A fake of Ollama: `chat` and `load` raise the given errors, or succeed."""

    def __init__(self) -> None:
        self.chat: Exception | None = None
        self.load: Exception | None = None
        self.loads = self.chats = 0
        self.loading: Callable[[], object] = lambda: None
        self.wait = 0.0

    def translate(self, text: str, _options: Any, _call: Call, *, before_asking: Callable[[], None]) -> Part:
        before_asking()
        self.chats += 1
        if self.chat:
            raise self.chat
        return Part(text.upper())

    def warm_up(self, _model: str, *, call: Call) -> None:
        self.loads += 1
        self.wait = call.wait or 0.0
        self.loading()
        if self.load:
            raise self.load


@pytest.fixture
def actors(application: Flask) -> Iterator[Any]:
    from app.translation import actors

    for cached in (actors.store, actors.breaker, actors.ollama):
        cached.cache_clear()
    yield actors
    settings.reset()


@pytest.fixture
def ollama(actors: Any, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> FakeOllama:
    ollama = FakeOllama()
    monkeypatch.setattr(actors, "translator", lambda: ollama)
    monkeypatch.setattr(Ollama, "load", lambda _self, model, *, call: ollama.warm_up(model, call=call))
    return ollama


def queued(client: FlaskClient, model: str = "apertium") -> str:
    answer = client.post("/translations", json={"text": TWO, "source": "en", "target": "es", "model": model})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def now(client: FlaskClient, id_: str) -> dict[str, Any]:
    seen: dict[str, Any] = client.get(f"/translations/{id_}").get_json()
    return seen


def later(actors: Any, clock: Clock, seconds: float) -> None:
    """Let time pass, so that the breaker allows the next trial."""
    clock.forward(seconds)
    actors.breaker()._redis.hset("tandem:gate:apertium:latest", "try_at", 0)


def deliver(actors: Any, id_: str) -> int | None:
    """Deliver its message; return the delay of its snooze in ms, or None if it ended."""
    try:
        actors.translate.fn(id_)
    except Snooze as snooze:
        return int(snooze.delay or 0)
    return None


def test_forty_translations_outlast_an_unreachable_model(client: FlaskClient, actors: Any, ollama: FakeOllama) -> None:
    ollama.chat = ollama.load = AWAY
    waiting = [queued(client) for _ in range(40)]
    assert all(deliver(actors, id_) for id_ in waiting)
    assert ollama.chats == 1  # one trial for all
    assert {now(client, id_)["status"] for id_ in waiting} == {"queued"}
    assert {now(client, id_)["error"] for id_ in waiting} == {f"waits for the model apertium: {AWAY}"}

    ollama.chat = ollama.load = None
    actors.breaker()._redis.hset("tandem:gate:apertium:latest", "try_at", 0)

    assert [deliver(actors, id_) for id_ in waiting] == [None] * 40
    assert ollama.loads == 1
    assert {(now(client, id_)["status"], now(client, id_)["error"]) for id_ in waiting} == {("done", None)}


def test_a_waiting_translation_changes_its_record_once(client: FlaskClient, actors: Any, ollama: FakeOllama) -> None:
    ollama.chat = ollama.load = AWAY
    id_ = queued(client)
    deliver(actors, id_)
    version = actors.store().state(id_).version

    for _ in range(3):
        assert deliver(actors, id_)

    assert actors.store().state(id_).version == version


def test_a_translation_waits_again_after_a_failed_trial(client: FlaskClient, actors: Any, ollama: FakeOllama) -> None:
    ollama.chat = ollama.load = AWAY
    id_ = queued(client)
    for _ in range(3):
        assert deliver(actors, id_)
        actors.breaker()._redis.hset("tandem:gate:apertium:latest", "try_at", 0)
        assert now(client, id_)["status"] == "queued"
        assert str(AWAY) in now(client, id_)["error"]
    assert ollama.loads == 2


def test_when_patience_is_used_up_the_translation_fails_with_that_reason(
    client: FlaskClient, actors: Any, ollama: FakeOllama, clock: Clock
) -> None:
    ollama.chat = ollama.load = AWAY
    id_ = queued(client)
    assert deliver(actors, id_)
    later(actors, clock, 3599)
    assert deliver(actors, id_)
    later(actors, clock, 3601)

    with pytest.raises(PermanentError, match=r"refused; it has waited for 3600 s \(OLLAMA_PATIENCE\)"):
        actors.translate.fn(id_)


def test_a_part_that_is_finished_renews_patience(
    client: FlaskClient, actors: Any, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    ollama.chat = ollama.load = AWAY
    id_ = queued(client)
    deliver(actors, id_)
    later(actors, clock, 3000)
    ollama.chat = ollama.load = None
    real = ollama.translate

    def away_at_the_garden(text: str, *more: Any, **named: Any) -> Part:
        ollama.chat = AWAY if "garden" in text else None
        return real(text, *more, **named)

    monkeypatch.setattr(ollama, "translate", away_at_the_garden)
    assert deliver(actors, id_)
    later(actors, clock, 3000)
    assert deliver(actors, id_)
    assert (now(client, id_)["status"], now(client, id_)["progress"]["done"]) == ("queued", 1)


def test_without_patience_it_is_an_attempt_like_any_other(
    client: FlaskClient, actors: Any, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_PATIENCE", "0")
    settings.reset()
    ollama.chat = AWAY
    id_ = queued(client)

    with pytest.raises(Unavailable):
        actors.translate.fn(id_)
    assert now(client, id_)["status"] == "queued"


def test_a_model_that_says_nothing_to_a_text_but_is_loaded_is_a_failed_attempt(
    client: FlaskClient, actors: Any, ollama: FakeOllama
) -> None:
    ollama.chat = NoAnswer("Ollama was silent for too long")
    id_ = queued(client)

    with pytest.raises(OllamaError) as error:
        actors.translate.fn(id_)

    assert not isinstance(error.value, Unavailable)
    assert ollama.loads == 1
    assert actors.breaker().reason("apertium") is None


def test_of_many_who_find_a_model_silent_one_loads_it_and_the_others_give_their_threads_back(
    client: FlaskClient, actors: Any, ollama: FakeOllama
) -> None:
    ollama.chat = NoAnswer("Ollama was silent for too long")
    first, *others = [queued(client) for _ in range(4)]
    snooze: list[int | None] = []

    def load_for_long() -> None:
        if not snooze:
            # Meanwhile the other calls have been silent for as long.
            assert "silent for too long" in now(client, first)["error"]
            snooze.extend(deliver(actors, id_) for id_ in others)

    ollama.loading = load_for_long
    ollama.load = NoAnswer("Ollama was silent for too long")
    assert deliver(actors, first)

    assert all(snooze) and ollama.loads == 1
    for id_ in (first, *others):
        assert now(client, id_)["status"] == "queued"
        assert "waits for the model apertium: Ollama was silent" in now(client, id_)["error"]


def test_patience_counts_from_the_silence_and_bounds_the_load(
    client: FlaskClient, actors: Any, ollama: FakeOllama, clock: Clock
) -> None:
    ollama.chat = ollama.load = NoAnswer("Ollama was silent for too long")
    id_ = queued(client)
    waits: list[float] = []
    ollama.loading = lambda: waits.append(ollama.wait)
    assert deliver(actors, id_)

    clock.forward(3000)
    assert deliver(actors, id_)
    assert waits[1] <= 600
    clock.forward(601)
    with pytest.raises(PermanentError, match="OLLAMA_PATIENCE"):
        actors.translate.fn(id_)


def test_a_model_that_was_being_loaded_is_asked_again_without_a_failed_attempt(
    client: FlaskClient, actors: Any, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "MAX_WARM_SECONDS", -1.0)
    ollama.chat = NoAnswer("Ollama was silent for too long")
    id_ = queued(client)
    assert deliver(actors, id_)
    ollama.chat = None

    assert deliver(actors, id_) is None
    assert now(client, id_)["status"] == "done"


def test_a_failure_after_a_finished_part_is_not_a_failed_attempt(
    client: FlaskClient, actors: Any, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = OllamaError("Ollama is not ready (500): unexpected EOF")
    real = ollama.translate

    def crash_at_the_garden(text: str, *more: Any, **named: Any) -> Part:
        ollama.chat = crash if "garden" in text else None
        return real(text, *more, **named)

    monkeypatch.setattr(ollama, "translate", crash_at_the_garden)
    id_ = queued(client)

    assert deliver(actors, id_)
    with pytest.raises(OllamaError, match="unexpected EOF"):  # this time nothing was finished
        actors.translate.fn(id_)


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch, ollama: FakeOllama) -> ModelMissing:
    monkeypatch.setenv("OLLAMA_PULL", "1")
    settings.reset()
    ollama.chat = ollama.load = missing = ModelMissing("Ollama refused (404): model 'apertium' not found")
    return missing


@pytest.mark.usefixtures("pulled")
def test_a_translation_reports_the_pull_of_its_model_and_keeps_its_patience(
    client: FlaskClient, actors: Any, clock: Clock
) -> None:
    id_ = queued(client)
    for percent in (43, 44):
        later(actors, clock, 7200)
        pulls.report(Pull("Apertium", "pulling a", percent, 100), seconds=60)
        assert deliver(actors, id_)
        assert now(client, id_)["error"] == f"waits for the model apertium: pulling Apertium: {percent} % of 0 MB"
    pulls.forget()
    assert actors.store().get(id_).waiting_since is None


@pytest.mark.usefixtures("pulled")
def test_a_pull_of_another_model_is_ignored(client: FlaskClient, actors: Any) -> None:
    pulls.report(Pull("nope:1b", "pulling a", 1, 100), seconds=60)
    id_ = queued(client)
    deliver(actors, id_)
    assert "nope" not in now(client, id_)["error"]


@pytest.mark.usefixtures("pulled")
def test_a_temporary_failure_of_the_pull_is_reported_and_a_permanent_one_ends_the_translation(
    client: FlaskClient, actors: Any, clock: Clock
) -> None:
    id_ = queued(client)
    pulls.report_failure(pulls.Failure("apertium", "no such host", final=False))
    assert deliver(actors, id_)
    assert "retried: no such host" in now(client, id_)["error"]

    pulls.report_failure(pulls.Failure("apertium", "requires a newer version of Ollama", final=True))
    later(actors, clock, 60)
    with pytest.raises(PermanentError, match="cannot be pulled: requires a newer version"):
        actors.translate.fn(id_)


def test_a_model_that_is_not_pulled_fails_immediately(client: FlaskClient, actors: Any, ollama: FakeOllama) -> None:
    ollama.chat = ModelMissing("Ollama refused (404): model 'apertium' not found")
    with pytest.raises(PermanentError, match="not found"):
        actors.translate.fn(queued(client))


@pytest.mark.parametrize(
    ("shut", "status", "detail"),
    [
        (False, "ok", "apertium at"),
        (True, "warn", "is not available: loading; each translation waits for it up to 3600 s"),
    ],
)
def test_readyz_reports_that_translations_wait(
    client: FlaskClient, actors: Any, monkeypatch: pytest.MonkeyPatch, shut: bool, status: str, detail: str
) -> None:
    monkeypatch.setattr(Ollama, "models", lambda _self: {"apertium:latest"})
    monkeypatch.setattr(Ollama, "can_chat", lambda _self, _model: True)
    if shut:
        actors.breaker().trip("apertium", "loading")
    seen = client.get("/readyz").get_json()["checks"]["model"]
    assert (seen["status"], detail in seen["detail"]) == (status, True)


def test_an_embedding_model_is_not_ready(client: FlaskClient, actors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ollama, "models", lambda _self: {"apertium:latest"})
    monkeypatch.setattr(Ollama, "can_chat", lambda _self, _model: False)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "cannot translate" in answer.get_json()["checks"]["model"]["detail"]
