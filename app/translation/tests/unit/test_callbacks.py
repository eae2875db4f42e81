"""Callbacks: signed, one for each end of a translation, and never lost with a process."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from pydantic import SecretStr

from app.translation.settings import TranslationSettings
from app.translation.tests.paths import DOCS
from tandem import safe_http
from tandem.broker.errors import PermanentError
from tandem.config import settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the specification's own
URL = "https://hooks.example.org/ended"


@pytest.fixture
def signing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CALLBACK_SECRET", SECRET)
    settings.reset()
    yield
    settings.reset()


@pytest.fixture
def caller(signing: None, client: FlaskClient) -> FlaskClient:
    """A client of an application that signs its calls."""
    from app.translation import actors

    actors.store.cache_clear()
    return client


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, dict[str, str], bool]]:
    """Record the posts instead of sending them."""
    calls: list[tuple[str, bytes, dict[str, str], bool]] = []
    monkeypatch.setattr(
        safe_http, "post", lambda url, body, headers, allowed: calls.append((url, body, headers, allowed.private))
    )
    return calls


def ask(client: FlaskClient, url: str | None = URL) -> str:
    body = {"text": "Good morning.", "target": "es", **({"callback_url": url} if url else {})}
    answer = client.post("/translations", json=body)
    assert answer.status_code == 202, answer.get_data(as_text=True)
    return str(answer.get_json()["id"])


def end(id_: str, status: str) -> None:
    from app.translation import actors

    store = actors.store()
    if status == "done":
        run = store.start(id_, total=1)
        assert run and store.finish(id_, run, "Buenos días.")
    elif status == "failed":
        assert store.fail(id_, "no model")
    else:
        assert store.cancel(id_)


def queued(client: redis.Redis) -> list[list[Any]]:
    """Return the arguments of the queued calls, in order."""
    store: Any = client
    ids = store.lrange("dramatiq:callbacks", 0, -1)
    return [json.loads(store.hget("dramatiq:callbacks.msgs", id_))["args"] for id_ in ids]


@pytest.mark.usefixtures("client")
def test_the_signature_matches_the_example_of_the_specification() -> None:
    from app.translation.callbacks import signed

    headers = signed(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert headers == {
        "Content-Type": "application/json",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("secret", [SECRET, "a secret of plain text"])
def test_the_code_in_the_guide_verifies_a_call_and_refuses_others(secret: str) -> None:
    from app.translation.callbacks import signed

    (lines,) = re.findall(r"```python\n(import base64.*?)```", (DOCS / "callbacks.md").read_text(), re.DOTALL)
    room: dict[str, Any] = {}
    exec(lines, room)  # noqa: S102
    verify = room["verify"]
    headers = signed(secret, "msg_1", int(time.time()), b"{}")

    assert verify(secret, headers, b"{}")
    assert not verify(secret, headers, b"{ }")
    assert not verify(secret, headers | {"webhook-id": "msg_2"}, b"{}")
    assert not verify(secret, signed(secret, "msg_1", int(time.time()) - 600, b"{}"), b"{}")


def test_without_a_secret_no_callback_url_is_accepted(client: FlaskClient, redis_client: redis.Redis) -> None:
    answer = client.post("/translations", json={"text": "Hi.", "target": "es", "callback_url": URL})

    assert answer.status_code == 422
    assert "CALLBACK_SECRET is not set" in answer.get_json()["detail"]
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("hooks.example.org", "expected http://HOST or https://HOST"),
        ("http://10.0.0.1/", "not a public address"),
        ("http://127.1:8080/", "not a public address"),
        ("https://hooks.example.org:6379/", "its port 6379 is not allowed"),
    ],
)
def test_an_invalid_callback_url_is_refused_with_the_reason(
    caller: FlaskClient, redis_client: redis.Redis, url: str, reason: str
) -> None:
    answer = caller.post("/translations", json={"text": "Hi.", "target": "es", "callback_url": url})

    assert answer.status_code == 422
    assert answer.get_json()["detail"].startswith("callback_url is not a valid URL of a receiver: ")
    assert reason in answer.get_json()["detail"]
    assert redis_client.dbsize() == 0


def test_a_callback_never_leads_to_this_container_or_its_services(
    caller: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.translation.callbacks import destinations

    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    monkeypatch.setenv("REDIS_URL", "redis://:secret@10.1.1.1/0")
    settings.reset()
    config = TranslationSettings(
        callback_private=True,
        ollama_url="http://10.1.1.2:8080",
        callback_ports=("80", "6379", "8080"),
    )
    for url in ("http://127.0.0.1/", "http://[::1]:8080/", "http://10.1.1.1:6379/", "http://10.1.1.2:8080/api/delete"):
        with pytest.raises(safe_http.BadUrl):
            safe_http.post(url, b"{}", {}, destinations(config))
    settings.reset()
    sentinels = settings.Settings(redis_url=SecretStr("redis+sentinel://one:1,two/main"))
    assert sentinels.redis_services == [("one", 1), ("two", 26379)]
    assert settings.Settings().redis_services == []


@pytest.mark.parametrize("status", ["done", "failed", "cancelled"])
def test_the_call_is_enqueued_in_the_transaction_that_stores_the_end(
    caller: FlaskClient, redis_client: redis.Redis, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = ask(caller)
    assert queued(redis_client) == []
    # Nothing after the script may be required: the process can die there.
    monkeypatch.setattr("tandem.broker.broker.Broker._handle_inline", dies)

    with pytest.raises(SystemExit):
        end(id_, status)

    ((*arguments, call_id),) = queued(redis_client)
    assert arguments == [id_, status]
    assert re.fullmatch(r"msg_[0-9a-f]{32}", call_id)
    assert redis_client.llen("tandem:bell:callbacks") == 1


def dies(*_arguments: object) -> None:
    raise SystemExit


def test_a_translation_without_a_callback_url_makes_no_call(caller: FlaskClient, redis_client: redis.Redis) -> None:
    end(ask(caller, url=None), "done")
    assert redis_client.exists("dramatiq:callbacks") == 0


def test_an_end_that_is_too_late_makes_no_call(caller: FlaskClient, redis_client: redis.Redis) -> None:
    from app.translation import actors

    id_ = ask(caller)
    end(id_, "cancelled")

    assert not actors.store().fail(id_, "too late")
    assert not actors.store().requeue(id_, "run", error="too late")
    assert len(queued(redis_client)) == 1


def test_a_retried_failure_calls_at_each_end(caller: FlaskClient, redis_client: redis.Redis) -> None:
    from app.translation import actors

    id_ = ask(caller)
    end(id_, "failed")
    actors.store().reopen(id_)
    end(id_, "done")

    assert [arguments[1] for arguments in queued(redis_client)] == ["failed", "done"]
    assert len({arguments[2] for arguments in queued(redis_client)}) == 2


def test_the_call_carries_the_translation_signed(
    caller: FlaskClient, posted: list[tuple[str, bytes, dict[str, str], bool]], redis_client: redis.Redis
) -> None:
    from app.translation.callbacks import call_back, signed

    id_ = ask(caller)
    end(id_, "done")
    public = caller.get(f"/translations/{id_}").get_json()

    call_back(*queued(redis_client)[0])
    call_back(*queued(redis_client)[0])

    (url, body, headers, private), again = posted
    assert (url, private) == (URL, False)
    assert json.loads(body) == {"type": "translation.done", "timestamp": public["finished_at"], "data": public}
    sent = int(headers["webhook-timestamp"])
    assert abs(time.time() - sent) < 5
    assert headers == signed(SECRET, queued(redis_client)[0][2], sent, body)
    assert again[2]["webhook-id"] == headers["webhook-id"]


def test_the_call_of_a_failure_that_is_being_retried_is_not_made(
    caller: FlaskClient, posted: list[Any], redis_client: redis.Redis
) -> None:
    from app.translation import actors
    from app.translation.callbacks import call_back

    id_ = ask(caller)
    end(id_, "failed")
    actors.store().reopen(id_)
    call_back(*queued(redis_client)[0])
    redis_client.delete(f"tandem:translation:{id_}")
    call_back(*queued(redis_client)[0])

    assert posted == []


def test_a_call_that_cannot_be_signed_any_more_is_not_made(
    caller: FlaskClient, posted: list[Any], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.translation.callbacks import call_back

    end(ask(caller), "done")
    monkeypatch.delenv("CALLBACK_SECRET")
    settings.reset()

    with pytest.raises(PermanentError, match="CALLBACK_SECRET is not set"):
        call_back(*queued(redis_client)[0])
    assert posted == []


@pytest.mark.parametrize(("workers", "threads", "calls"), [(2, 4, 4), (8, 8, 4), (1, 4, 2), (1, 3, 1), (1, 1, 1)])
def test_slow_receivers_take_at_most_half_of_the_threads(
    redis_client: redis.Redis, workers: int, threads: int, calls: int
) -> None:
    from app.translation.workload import workload as translation

    config = settings.Settings(workers=workers, worker_threads=threads)

    assert translation.max_concurrency(config)["callbacks"] == calls
