"""The actor that translates: what is done is kept, what went wrong is named, and old records are understood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from app import settings
from app.translation.engine.ollama import Call, Cut
from app.translation.parts import Part, Problem
from tests.unit.conftest import take_all_actors

TWO = "The red house is old.\n\nThe garden is green."
LOST = Problem("empty", "the model gave an empty answer", "source")


class Loud:
    """A translator that shouts; `bad` parts do not come out, and `before` is called with each part."""

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
    """The module; importing it needs a broker."""
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


def test_what_is_done_is_not_asked_for_again(client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]) -> None:
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


def test_parts_that_were_cut_in_another_way_are_translated_again(
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
    """With the fields that version 0.1.0 stored, and a part that was done."""
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


def test_a_part_that_did_not_come_out_is_named_and_the_rest_goes_on(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]
) -> None:
    use(Loud("The garden is green."))
    id_ = queued(client)

    actors.translate.fn(id_)

    ended = now(client, id_)
    assert (ended["status"], ended["translation"]) == ("done", "THE RED HOUSE IS OLD.\n\nThe garden is green.")
    assert ended["problems"] == [{"part": 2, **vars(LOST), "source": "The garden is green."}]


def test_a_text_of_which_nothing_came_out_has_failed_and_a_new_try_asks_again(
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
def test_a_text_without_words_is_done_as_it_is(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud], format: str, text: str
) -> None:
    translator, id_ = use(Loud()), queued(client, text, format=format)

    actors.translate.fn(id_)

    assert (now(client, id_)["status"], now(client, id_)["translation"]) == ("done", text)
    assert translator.asked == []


def test_a_translation_that_is_cancelled_in_the_middle_just_stops(
    client: FlaskClient, actors: Any, use: Callable[[Loud], Loud]
) -> None:
    def cancel(_: str) -> None:
        assert client.delete(f"/translations/{id_}").status_code == 202
        raise Cut

    use(Loud(before=cancel))
    id_ = queued(client)

    actors.translate.fn(id_)

    assert (now(client, id_)["status"], now(client, id_)["translation"]) == ("cancelled", None)


def test_without_a_queue_the_answer_is_the_end(
    application: Flask, actors: Any, use: Callable[[Loud], Loud], monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.web.application import create_app

    use(Loud())
    monkeypatch.setenv("QUEUE_TRANSPORT", "sync")
    settings.current.cache_clear()
    client = create_app().test_client()
    take_all_actors()

    answer = client.post("/translations", json={"text": TWO, "source": "en", "target": "es"})
    settings.current.cache_clear()

    assert (answer.status_code, answer.get_json()["status"]) == (202, "done")
