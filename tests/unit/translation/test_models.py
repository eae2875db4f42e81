"""Models: which ones a request may name, which ones the server has, and how far a pull is."""

from __future__ import annotations

import pytest
import redis
from flask.testing import FlaskClient

from app import settings
from app.settings import Settings
from app.translation import models, pulls
from app.translation.engine.ollama import Ollama, OllamaError
from app.translation.engine.pull import Pull
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed

GOOD = {"text": "Good morning.", "source": "en", "target": "es"}
HALF = Pull("gemma3:4b", "pulling aeda25e63ebd", 1_419_000_000, 3_300_000_000)


def offering(*names: str) -> Settings:
    return Settings(ollama_model="gemma3", ollama_models=names)


def test_a_request_may_name_the_models_of_the_settings_however_it_writes_them() -> None:
    config = offering("llama3.2:3b", "qwen3:latest")

    assert models.choose(None, config) == "gemma3"
    assert models.choose("gemma3:latest", config) == "gemma3"
    assert models.choose("llama3.2:3b", config) == "llama3.2:3b"
    assert models.choose("qwen3", config) == "qwen3:latest"


def test_any_other_model_is_refused_with_those_that_are_offered() -> None:
    with pytest.raises(NotAllowed) as error:
        models.choose("llama3.2", offering("llama3.2:3b", "gemma3:latest"))
    assert str(error.value) == "model 'llama3.2' is not offered here: name one of gemma3, llama3.2:3b"


def test_a_star_offers_any_model() -> None:
    assert models.choose("llama3.2:3b", offering("*")) == "llama3.2:3b"
    assert models.choose("gemma3:latest", offering("*")) == "gemma3"


def test_a_model_that_is_not_offered_is_refused_and_nothing_is_stored(
    monkeypatch: pytest.MonkeyPatch, client: FlaskClient, redis_client: redis.Redis
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", "gemma3:4b")
    settings.current.cache_clear()
    from app.web.application import create_app

    with create_app().test_client() as narrow:
        answer = narrow.post("/translations", json=GOOD | {"model": "gemma3:27b"})
        assert answer.status_code == 422
        assert answer.get_json()["detail"].endswith("name one of apertium, gemma3:4b")
        assert redis_client.dbsize() == 0
        assert narrow.post("/translations", json=GOOD | {"model": "gemma3:4b"}).status_code == 202


@pytest.mark.usefixtures("client")
def test_the_overview_says_which_of_the_offered_models_are_there() -> None:
    seen = models.overview(offering("llama3.2:3b"), {"gemma3:latest", "qwen3:8b"})

    assert seen == {
        "default": "gemma3",
        "models": [
            {"name": "gemma3", "available": True, "default": True},
            {"name": "llama3.2:3b", "available": False, "default": False},
        ],
        "languages": LANGUAGES,
        "pull": None,
    }


@pytest.mark.usefixtures("client")
def test_with_a_star_the_overview_has_all_that_the_server_lists_each_once() -> None:
    seen = models.overview(offering("*"), {"gemma3:latest", "qwen3:8b"})
    assert [model["name"] for model in seen["models"]] == ["gemma3", "qwen3:8b"]
    assert [model["name"] for model in models.overview(offering("*"), set())["models"]] == ["gemma3"]


def test_models_are_shown_while_ollama_is_away(client: FlaskClient) -> None:
    answer = client.get("/models")

    assert answer.status_code == 200
    assert answer.get_json()["models"] == [{"name": "apertium", "available": False, "default": True}]


def test_the_servers_list_is_asked_for_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def look() -> set[str]:
        asked.append(now[0])
        if len(asked) == 2:
            raise OllamaError("away")
        return {"gemma3:latest"}

    listing = models.Listing(look)
    seen = []
    for seconds in (0, 1, models.LIST_SECONDS, models.LIST_SECONDS + 1, 2 * models.LIST_SECONDS):
        now[0] = 100.0 + seconds
        seen.append(bool(listing.names()))

    assert seen == [True, True, False, False, True]
    assert len(asked) == 3


@pytest.mark.usefixtures("client")
def test_a_pull_is_told_until_it_is_over_or_not_heard_of_any_more(redis_client: redis.Redis) -> None:
    assert pulls.running() is None
    pulls.tell(HALF, seconds=300)

    assert pulls.running() == HALF
    assert redis_client.ttl(pulls.KEY) == 300
    assert models.overview(offering(), set())["pull"] == {
        "model": "gemma3:4b",
        "status": "pulling aeda25e63ebd",
        "completed": 1_419_000_000,
        "total": 3_300_000_000,
    }
    pulls.forget()
    assert pulls.running() is None


def test_readyz_says_how_far_a_pull_is(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pulls.tell(HALF, seconds=300)
    monkeypatch.setattr(Ollama, "models", lambda _self: {"qwen3:8b"})

    looked_at = client.get("/readyz").get_json()["checks"]["model"]

    assert looked_at == {"status": "warn", "detail": "pulling gemma3:4b: 43 % of 3.3 GB"}


def test_a_pull_before_its_first_byte_says_what_the_server_says() -> None:
    assert str(Pull("gemma3:4b", "pulling manifest", 0, 0)) == "pulling gemma3:4b: pulling manifest"
    assert str(Pull("tiny", "x", 9, 9_000_000)) == "pulling tiny: 0 % of 9 MB"
