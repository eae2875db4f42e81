"""The actor that translates: finished parts are stored, problems are reported, and old records are supported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from app.translation.engine.ollama import Call, Cancelled
from app.translation.parts import Part, Problem
from tandem.config import settings

TWO = "The red house is old.\n\nThe garden is green."
LOST = Problem("empty", "the model gave an empty answer", "source")


class Loud:
    """A translator to upper case; `bad` parts fail, and `before` is called with each part."""

    def __init__(self, *bad: str, before: Callable[[str], None] = lambda _: None) -> None:
        self.bad = bad
        self.before = before
        self.asked: list[str] = []

    def translate(self, text: str, _wish: Any, _call: Call, *, before_asking: Callable[[], None]) -> Part:
        self.before(text)
        self.asked.append(text)
        return Part(text, (LOST,)) if text in self.bad else Part(text.upper())


@pytest.fixture
def actors(application: Flask) -> Any:
    """Import the module, which needs a broker."""
    from app.translation import actors

    actors.store.cache_clear()
    return actors


@pytest.fixture
def use(actors: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Loud], Loud]:
    def use(translator: Loud) -> Loud:
        monkeypatch.setattr(actors, "translator", lambda: translator)
        return translator

    return use


def queued(client: FlaskClient, text: str = TWO, **fields: str) -> str:
    answer = client.post("/translations", json={"text": text, "source": "en", "target": "es", **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def now(client: FlaskClient, id_: str) -> dict[str, Any]:
    seen: dict[str, Any] = client.get(f"/translations/{id_}").get_json()
    return seen


def test_a_text_is_translated_part_by_part(client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]) -> None:
    translator, id_ = use(Loud()), queued(client)

    actors.translate.fn(id_)

    assert translator.asked == TWO.split("\n\n")
    assert (now(client, id_)["status"], now(client, id_)["translation"]) == ("done", TWO.upper())


def test_finished_parts_are_not_translated_again(client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]) -> None:
    class Killed(BaseException):
        pass

    def die(text: str) -> None:
        if "garden" in text:
            raise Killed

    use(Loud(before=die))
    id_ = queued(client)
    with pytest.raises(Killed):
        actors.translate.fn(id_)
    successor = use(Loud())

    actors.translate.fn(id_)

    assert successor.asked == ["The garden is green."]
    assert now(client, id_)["translation"] == TWO.upper()


def test_parts_that_were_split_differently_are_translated_again(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud], redis_client: redis.Redis
) -> None:
    translator, id_ = use(Loud()), queued(client)
    store = actors.store()
    run = store.start(id_, total=3)
    assert run
    for number, text in enumerate(["THE RED HOUSE", "IS OLD.", "THE GARDEN IS GREEN."]):
        store.add_chunk(id_, run, number, Part(text, of=f"{number}"))

    actors.translate.fn(id_)

    assert translator.asked == TWO.split("\n\n")
    assert now(client, id_)["translation"] == TWO.upper()
    assert now(client, id_)["progress"]["done"] == 2


def test_a_translation_that_waited_through_an_upgrade_is_translated(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud], redis_client: redis.Redis
) -> None:
    """The record has the fields that version 0.1.0 stored, and a finished part."""
    use(Loud())
    id_ = "0b7a3c9e-0000-4000-8000-000000000001"
    fields = {"id": id_, "text": TWO, "source": "en", "target": "es", "model": "apertium", "status": "running"}
    stored: Any = redis_client
    stored.hset(
        f"tandem:translation:{id_}",
        mapping=fields | {"done": "1", "total": "2", "created_at": "2026-11-22T10:00:00.000Z", "run": "of then"},
    )
    redis_client.hset(f"tandem:translation:{id_}:chunks", "0", "La casa roja es vieja.")
    assert now(client, id_)["progress"] == {"done": 1, "total": 2, "characters": 0}

    actors.translate.fn(id_)

    ended = now(client, id_)
    assert (ended["status"], ended["translation"]) == ("done", TWO.upper())
    assert client.delete(f"/translations/{id_}").status_code == 409
    assert client.get("/translations").status_code == 200


def test_an_untranslated_part_is_reported_and_the_rest_continues(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]
) -> None:
    use(Loud("The garden is green."))
    id_ = queued(client)

    actors.translate.fn(id_)

    ended = now(client, id_)
    assert (ended["status"], ended["translation"]) == ("done", "THE RED HOUSE IS OLD.\n\nThe garden is green.")
    assert ended["problems"] == [{"part": 2, **vars(LOST), "source": "The garden is green."}]


def test_a_text_without_any_translated_part_fails_and_a_retry_asks_again(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]
) -> None:
    use(Loud(*TWO.split("\n\n")))
    id_ = queued(client)
    with pytest.raises(actors.NothingTranslated, match="empty answer"):
        actors.translate.fn(id_)
    actors.store().fail(id_, "the model gave an empty answer")
    well = use(Loud())

    assert actors.store().reopen(id_)
    actors.translate.fn(id_)

    assert len(well.asked) == 2
    assert now(client, id_)["status"] == "done"


@pytest.mark.parametrize(("format", "text"), [("json", '{"a": 1, "b": "42"}'), ("text", "42 -- 43")])
def test_a_text_without_words_is_returned_unchanged(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud], format: str, text: str
) -> None:
    translator, id_ = use(Loud()), queued(client, text, format=format)

    actors.translate.fn(id_)

    assert (now(client, id_)["status"], now(client, id_)["translation"]) == ("done", text)
    assert translator.asked == []


def test_what_stays_untranslated_on_purpose_is_counted(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]
) -> None:
    use(Loud())
    text = "---\ntitle: A\n---\n# The house\n\n```\nls\n```\n\nRun `ls house` with {name} and $x^2$.\n"
    id_ = queued(client, text, format="markdown")

    actors.translate.fn(id_)

    assert now(client, id_)["untranslated"] == [
        {"why": "code", "parts": 2, "characters": 21},
        {"why": "front matter", "parts": 1, "characters": 17},
        {"why": "placeholder", "parts": 1, "characters": 6},
        {"why": "maths", "parts": 1, "characters": 5},
    ]


def test_an_unpaired_surrogate_is_a_problem(client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]) -> None:
    use(Loud())
    id_ = queued(client, '["The house \\ud83d"]', format="json")

    actors.translate.fn(id_)

    problem = {"part": 1, "kind": "unicode", "kept": "source", "source": "The house \\ud83d"}
    detail = "the string at line 1, column 2 has an unpaired surrogate, which is not a character"
    assert now(client, id_)["problems"] == [problem | {"detail": detail}]
    assert now(client, id_)["status"] == "done"


def test_a_translation_cancelled_while_running_stops(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]
) -> None:
    def cancel(_: str) -> None:
        assert client.delete(f"/translations/{id_}").status_code == 202
        raise Cancelled

    use(Loud(before=cancel))
    id_ = queued(client)

    actors.translate.fn(id_)

    assert (now(client, id_)["status"], now(client, id_)["translation"]) == ("cancelled", None)


def test_with_the_synchronous_transport_the_response_is_final(
    application: Flask, actors: Any, use: Callable[[Loud], Loud], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tandem.web.application import create_app

    use(Loud())
    monkeypatch.setenv("QUEUE_TRANSPORT", "sync")
    settings.reset()
    client = create_app().test_client()

    answer = client.post("/translations", json={"text": TWO, "source": "en", "target": "es"})
    settings.reset()

    assert (answer.status_code, answer.get_json()["status"]) == (202, "done")
