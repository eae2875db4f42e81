"""POST and GET of translations: accepted requests are stored and queued, refused ones change nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from fakeredis import FakeServer
from flask import Flask
from flask.testing import FlaskClient

from tests.unit.problems import assert_problem

GOOD = {"text": "Good morning.", "source": "en", "target": "es"}


@pytest.fixture(autouse=True)
def own_connections(application: Flask) -> None:
    """Reset the store and the client of Ollama to this test's settings."""
    from app.translation import actors

    actors.store.cache_clear()
    actors.ollama.cache_clear()


def test_an_accepted_translation_is_stored_and_queued(client: FlaskClient, redis_client: redis.Redis) -> None:
    answer = client.post("/translations", json=GOOD)

    assert answer.status_code == 202
    body = answer.get_json()
    assert answer.headers["Location"] == f"/translations/{body['id']}"
    assert body | {"id": "", "created_at": ""} == {
        "id": "",
        "status": "queued",
        "progress": {"done": 0, "total": 0, "characters": 0},
        "translation": None,
        "problems": [],
        "untranslated": [],
        "error": None,
        "source": "en",
        "source_detected": False,
        "target": "es",
        "model": "apertium",
        "format": "text",
        "file_name": None,
        "created_at": "",
        "started_at": None,
        "finished_at": None,
    }
    assert client.get(answer.headers["Location"]).get_json() == body
    assert redis_client.llen("dramatiq:translations") == 1


def test_source_and_model_are_optional(client: FlaskClient) -> None:
    body = client.post("/translations", json={"text": "Bonjour.", "target": "es"}).get_json()

    assert (body["source"], body["source_detected"], body["model"]) == ("fr", True, "apertium")
    assert client.get(f"/translations/{body['id']}").get_json()["source_detected"] is True
    named = client.post("/translations", json=GOOD | {"model": "gemma3:4b"}).get_json()
    assert named["model"] == "gemma3:4b"


BAD_BODIES: list[tuple[Any, int, str]] = [
    ({"target": "es"}, 422, "text is missing"),
    ({"text": "", "target": "es"}, 422, "text is blank"),
    ({"text": " \n\t ", "target": "es"}, 422, "text is blank"),
    ({"text": "\u3000\u2003", "target": "es"}, 422, "text is blank"),
    ({"text": 7, "target": "es"}, 422, "text must be a string"),
    ({"text": None, "target": "es"}, 422, "text must be a string"),
    ({"text": "x" * 1_000_001, "target": "es"}, 413, "at most 1,000,000 are allowed"),
    ({"text": "Hi."}, 422, "target is missing"),
    ({"text": "Hi.", "target": "xx"}, 422, "expected one of af, ar"),
    ({"text": "Hi.", "target": "ES"}, 422, "expected one of af, ar"),
    ({"text": "Hi.", "target": ["es"]}, 422, "target must be a string"),
    ({"text": "Hi.", "target": "es", "source": "klingon"}, 422, "source 'klingon' is not a supported language"),
    ({"text": "Hi.", "target": "es", "source": "es"}, 422, "two different languages"),
    ({"text": "42", "target": "es"}, 422, "the text has no words to detect its language by: give source"),
    (
        {"text": "Hi.", "target": "es"},
        422,
        "cannot be detected with certainty (perhaps Italian): give source",
    ),
    ({"text": "Buenos días.", "target": "es"}, 422, "is already in Spanish (es), as detected: give another target, or"),
    ({"text": "Hi.", "target": "es", "model": "a b"}, 422, "model is not a model name"),
    ({"text": "Hi.", "target": "es", "model": ""}, 422, "model is not a model name"),
    ({"text": "Hi.", "target": "es", "speed": 3}, 422, "speed is not a known field"),
    ([], 422, "must be a JSON object"),
    ("Hi.", 422, "must be a JSON object"),
    (None, 422, "must be a JSON object"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), BAD_BODIES, ids=lambda value: str(value)[:40])
def test_an_invalid_request_is_refused_with_the_reason_and_changes_nothing(
    client: FlaskClient, redis_client: redis.Redis, body: Any, status: int, sentence: str
) -> None:
    answer = client.post("/translations", data=json.dumps(body), content_type="application/json")

    assert_problem(answer, status, sentence)
    assert redis_client.dbsize() == 0


NOT_JSON = [
    (b"", "not valid JSON (line 1 column 0: EOF while parsing a value)"),
    (b"{", "not valid JSON (line 1 column 1: EOF"),
    (b"{'text': 'Hi.'}", "not valid JSON (line 1 column 2: key must be a string)"),
    (b'{"text": "\\ud800", "target": "es"}', "not valid JSON (line 1 column 17: "),
    (b'{"text": "Hi.",\n "target": "es",}', "not valid JSON (line 2 column 17: trailing comma)"),
    (b'\xef\xbb\xbf{"text":}', "not valid JSON (line 1 column 9: expected value)"),
    (b"\xff\xfe", "not UTF-8 (byte 1 is invalid): send JSON in UTF-8"),
    ('{"text": "Olá.", "target": "es"}'.encode("latin-1"), "not UTF-8 (byte 13 is invalid)"),
    (json.dumps(GOOD).encode("utf-16"), "not UTF-8 (byte 1 is invalid)"),
    (json.dumps(GOOD).encode("utf-16-le"), "not valid JSON (line 1 column 2: "),
    (b'{"text": "\xed\xa0\x80", "target": "es"}', "not UTF-8 (byte 11 is invalid)"),
]


@pytest.mark.parametrize(("body", "sentence"), NOT_JSON)
def test_a_body_that_is_not_json_is_refused_with_the_place(
    client: FlaskClient, redis_client: redis.Redis, body: bytes, sentence: str
) -> None:
    answer = client.post("/translations", data=body, content_type="application/json")

    assert_problem(answer, 400, sentence)
    assert redis_client.dbsize() == 0


def test_a_byte_order_mark_before_json_is_skipped(client: FlaskClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(GOOD).encode()
    assert client.post("/translations", data=body, content_type="application/json").status_code == 202


def test_another_content_type_is_refused(client: FlaskClient, redis_client: redis.Redis) -> None:
    assert_problem(client.post("/translations", data=GOOD), 415, "must be application/json")
    assert redis_client.dbsize() == 0


def test_a_body_over_the_limit_is_refused_unread(client: FlaskClient) -> None:
    body = b" " * (1_000_000 * 12 + 65_537)
    answer = client.post("/translations", data=body, content_type="application/json")
    assert_problem(answer, 413, "expected at most 12,065,536 bytes")


def test_a_text_of_exactly_the_limit_is_accepted(client: FlaskClient) -> None:
    # Four bytes each in UTF-8, twelve in the JSON that is sent: the body's limit must not be what refuses it.
    answer = client.post("/translations", json=GOOD | {"text": "😀" * 100_000})
    assert answer.status_code == 202


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_wrong_method_is_refused_with_those_that_are_allowed(client: FlaskClient, method: str) -> None:
    answer = getattr(client, method)("/translations")
    assert_problem(answer, 405, f"{method.upper()} is not allowed here: expected GET, HEAD, OPTIONS, POST")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize("id_", ["6f1ed002-ab5d-42cf-868e-5a0e1cc1ce51", "7", "..%2f", "x" * 5000])
def test_an_unknown_id_is_not_found(client: FlaskClient, id_: str) -> None:
    assert_problem(client.get(f"/translations/{id_}"), 404, "")


def test_without_redis_nothing_is_accepted_and_the_client_may_retry(
    client: FlaskClient, redis_server: FakeServer, redis_client: redis.Redis
) -> None:
    redis_server.connected = False

    answer = client.post("/translations", json=GOOD)

    assert_problem(answer, 503, "the queue does not answer")
    assert int(answer.headers["Retry-After"]) > 0
    assert_problem(client.get("/translations/6f1ed002-ab5d-42cf-868e-5a0e1cc1ce51"), 503, "does not answer")
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    redis_server.connected = True
    assert redis_client.dbsize() == 0


def test_readyz_names_the_model_that_is_away(client: FlaskClient) -> None:
    looked_at = client.get("/readyz").get_json()["checks"]

    assert looked_at["redis"] == {"status": "ok", "detail": "answers"}
    assert looked_at["model"]["status"] == "warn"
    assert "http://127.0.0.1:9" in looked_at["model"]["detail"]


def test_the_page_offers_the_languages(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    assert '<option value="es" selected>Spanish</option>' in page


def test_readyz_says_that_redis_is_full(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"role": "master", "loading": 0, "maxmemory": 1024, "maxmemory_human": "1.00K", "used_memory": 2048}
    monkeypatch.setattr(redis.Redis, "info", lambda _self: said)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.get_json()["checks"]["queue"]["detail"].endswith("Redis's memory is full (1.00K)")
