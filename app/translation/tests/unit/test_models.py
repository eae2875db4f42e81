"""Models that a request may name, their availability, and the progress of a pull."""

from __future__ import annotations

import pytest
import redis
from flask.testing import FlaskClient

from app.translation import models, pulls
from app.translation.engine.ollama import Ollama, OllamaError
from app.translation.engine.pull import Pull
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed
from app.translation.settings import TranslationSettings
from tandem.config import settings

GOOD = {"text": "Good morning.", "source": "en", "target": "es"}
HALF = Pull("gemma3:4b", "pulling aeda25e63ebd", 1_419_000_000, 3_300_000_000)


def offering(*names: str) -> TranslationSettings:
    return TranslationSettings(ollama_model="gemma3", ollama_models=names)


def test_a_request_may_name_the_models_of_the_settings_however_it_writes_them() -> None:
    config = offering("llama3.2:3b", "qwen3:latest")

    assert models.choose(None, config) == "gemma3"
    assert models.choose("gemma3:latest", config) == "gemma3"
    assert models.choose("llama3.2:3b", config) == "llama3.2:3b"
    assert models.choose("qwen3", config) == "qwen3:latest"


@pytest.mark.usefixtures("client")
def test_names_are_equal_in_any_case_and_with_ollamas_default_prefix() -> None:
    config = TranslationSettings(ollama_model="Smol", ollama_models=("library/qwen3", "smol:latest"))

    assert models.configured(config) == ("Smol", "library/qwen3")
    assert models.choose("library/smol", config) == "Smol"
    assert models.choose("QWEN3:latest", config) == "library/qwen3"
    assert models.will_be_pulled("SMOL", TranslationSettings(ollama_model="smol", ollama_pull=True))
    seen = models.overview(config, {"smol:latest", "qwen3:latest"})["models"]
    assert [model["available"] for model in seen] == [True, True]


def test_any_other_model_is_refused_with_the_available_ones() -> None:
    with pytest.raises(NotAllowed) as error:
        models.choose("llama3.2", offering("llama3.2:3b", "gemma3:latest"))
    assert str(error.value) == "model 'llama3.2' is not available: expected one of gemma3, llama3.2:3b"


def test_a_star_allows_any_model() -> None:
    assert models.choose("llama3.2:3b", offering("*")) == "llama3.2:3b"
    assert models.choose("gemma3:latest", offering("*")) == "gemma3"


def test_an_unavailable_model_is_refused_and_nothing_is_stored(
    monkeypatch: pytest.MonkeyPatch, client: FlaskClient, redis_client: redis.Redis
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", "gemma3:4b")
    settings.reset()
    from tandem.web.application import create_app

    with create_app().test_client() as narrow:
        answer = narrow.post("/translations", json=GOOD | {"model": "gemma3:27b"})
        assert answer.status_code == 422
        assert answer.get_json()["detail"].endswith("expected one of apertium, gemma3:4b")
        assert redis_client.dbsize() == 0
        assert narrow.post("/translations", json=GOOD | {"model": "gemma3:4b"}).status_code == 202


@pytest.mark.usefixtures("client")
def test_the_overview_says_which_models_the_server_has() -> None:
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


def test_models_are_listed_while_ollama_is_unreachable(client: FlaskClient) -> None:
    answer = client.get("/models")

    assert answer.status_code == 200
    assert answer.get_json()["models"] == [{"name": "apertium", "available": False, "default": True}]


def test_the_list_of_the_server_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def look() -> set[str]:
        asked.append(now[0])
        if len(asked) == 2:
            raise OllamaError("away")
        return {"gemma3:latest"}

    listing = models.Listing(look)
    seen = []
    for seconds in (0, 1, models.LIST_EXPIRY, models.LIST_EXPIRY + 1, 2 * models.LIST_EXPIRY):
        now[0] = 100.0 + seconds
        seen.append(bool(listing.names()))

    assert seen == [True, True, False, False, True]
    assert len(asked) == 3


@pytest.mark.usefixtures("client")
def test_a_pull_is_reported_until_it_ends_or_expires(redis_client: redis.Redis) -> None:
    assert pulls.running() is None
    pulls.report(HALF, seconds=300)

    assert pulls.running() == HALF
    assert redis_client.ttl(pulls.KEY) == 300
    assert models.overview(offering("other:1b"), set())["pull"] is None
    assert models.overview(offering("Gemma3:4b"), set())["pull"] == {
        "model": "gemma3:4b",
        "status": "pulling aeda25e63ebd",
        "completed": 1_419_000_000,
        "total": 3_300_000_000,
    }
    pulls.forget()
    assert pulls.running() is None


def test_readyz_reports_the_progress_of_a_pull(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pulls.report(HALF, seconds=300)
    monkeypatch.setattr(Ollama, "models", lambda _self: {"qwen3:8b"})

    looked_at = client.get("/readyz").get_json()["checks"]["model"]

    assert looked_at == {"status": "warn", "detail": "pulling gemma3:4b: 43 % of 3.3 GB"}


def test_a_pull_before_its_first_byte_reports_the_status_of_the_server() -> None:
    assert str(Pull("gemma3:4b", "pulling manifest", 0, 0)) == "pulling gemma3:4b: pulling manifest"
    assert str(Pull("tiny", "x", 9, 9_000_000)) == "pulling tiny: 0 % of 9 MB"
