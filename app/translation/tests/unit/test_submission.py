"""Accepted requests are stored completely: record and message together, once for each key, up to the queue's limit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from fakeredis import FakeServer
from flask.testing import FlaskClient

from tandem.broker.errors import PermanentError
from tandem.config import settings

GOOD = {"text": "Good morning.", "source": "en", "target": "es"}


def post(client: FlaskClient, body: Any = GOOD, **headers: str) -> Any:
    return client.post("/translations", json=body, headers={key.replace("_", "-"): headers[key] for key in headers})


def test_a_repeated_request_gets_the_first_translation(client: FlaskClient, redis_client: redis.Redis) -> None:
    first = post(client, Idempotency_Key="order-7")
    again = post(client, Idempotency_Key="order-7")

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json() == again.get_json()
    assert first.headers["Location"] == again.headers["Location"]
    assert redis_client.llen("dramatiq:translations") == 1


def test_two_requests_at_once_with_one_key_make_one_translation(client: FlaskClient, redis_client: redis.Redis) -> None:
    ids: list[str] = []
    start = threading.Barrier(8)

    def ask() -> None:
        with client.application.test_client() as own:
            start.wait(10)
            ids.append(post(own, Idempotency_Key="at-once").get_json()["id"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert redis_client.llen("dramatiq:translations") == 1


def test_a_key_that_was_used_for_another_request_is_refused(client: FlaskClient, redis_client: redis.Redis) -> None:
    post(client, Idempotency_Key="order-7")

    answer = post(client, GOOD | {"target": "fr"}, Idempotency_Key="order-7")

    assert answer.status_code == 422
    assert "use a new one for each translation" in answer.get_json()["detail"]
    assert redis_client.llen("dramatiq:translations") == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "x" * 256])
def test_an_invalid_key_is_refused(client: FlaskClient, redis_client: redis.Redis, key: str) -> None:
    answer = post(client, Idempotency_Key=key)

    assert answer.status_code == 400
    assert "1 to 255 visible ASCII characters" in answer.get_json()["detail"]
    assert redis_client.keys() == []


def test_requests_without_a_key_or_with_different_ones_are_different(
    client: FlaskClient, redis_client: redis.Redis
) -> None:
    ids = [post(client).get_json()["id"], post(client).get_json()["id"]]
    ids += [post(client, Idempotency_Key=key).get_json()["id"] for key in "ab"]

    assert len(set(ids)) == 4
    assert redis_client.llen("dramatiq:translations") == 4


def test_a_key_expires_with_its_translation(client: FlaskClient, redis_client: redis.Redis) -> None:
    first = post(client, Idempotency_Key="order-7").get_json()["id"]
    redis_client.delete(f"tandem:translation:{first}")

    second = post(client, Idempotency_Key="order-7")

    assert second.status_code == 202
    assert second.get_json()["id"] != first


@pytest.fixture
def room_for_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("QUEUE_LIMIT", "2")
    settings.reset()
    yield
    settings.reset()


@pytest.mark.usefixtures("room_for_two")
def test_a_full_queue_answers_429_and_stores_nothing(redis_client: redis.Redis, request: pytest.FixtureRequest) -> None:
    client: FlaskClient = request.getfixturevalue("client")
    assert [post(client).status_code for _ in range(2)] == [202, 202]
    before = sorted(redis_client.keys())

    answer = post(client, Idempotency_Key="order-7")

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "10"
    assert "2 messages are waiting" in answer.get_json()["detail"]
    assert sorted(redis_client.keys()) == before

    redis_client.lpop("dramatiq:translations")
    assert post(client, Idempotency_Key="order-7").status_code == 202


def test_a_write_that_redis_refuses_leaves_nothing(
    client: FlaskClient, redis_client: redis.Redis, redis_server: FakeServer
) -> None:
    redis_server.connected = False
    answer = post(client, Idempotency_Key="order-7")
    redis_server.connected = True

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert redis_client.keys() == []


@pytest.mark.parametrize("named", [False, True], ids=["by position", "by name"])
def test_a_failure_is_stored_however_the_message_was_sent(client: FlaskClient, named: bool) -> None:
    from app.translation import actors

    id_ = post(client).get_json()["id"]
    message = actors.translate.message(translation_id=id_) if named else actors.translate.message(id_)

    actors.give_up(message, PermanentError("no model"))

    seen = client.get(f"/translations/{id_}").get_json()
    assert (seen["status"], seen["error"]) == ("failed", "no model")
