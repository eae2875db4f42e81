"""GET /translations/<id>/events: from the newest state to the end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.translation.parts import Part
from app.translation.store import Store
from tandem.sse import responses
from tandem.web import connections
from tests.unit.harness import eventually

RETRY = "retry: 2000\n\n"


@pytest.fixture(autouse=True)
def own_connections(application: Flask) -> Iterator[None]:
    """Reset the store and the hub to this test's settings."""
    from app.translation import actors

    actors.store.cache_clear()
    responses._make_hub.cache_clear()
    yield
    responses.close()
    responses._make_hub.cache_clear()


@pytest.fixture
def store(application: Flask) -> Store:
    from app.translation import actors

    return actors.store()


@pytest.fixture
def id_(client: FlaskClient) -> str:
    body = client.post("/translations", json={"text": "One.\n\nTwo.", "source": "en", "target": "es"}).get_json()
    return cast(str, body["id"])


class Stream:
    """Yield the events of a translation that a subscriber receives."""

    def __init__(self, client: FlaskClient, id: str, last_event_id: str | None = None) -> None:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self.response = client.get(f"/translations/{id}/events", headers=headers)
        self._parts = iter(cast("Iterator[bytes]", self.response.response))

    def next(self) -> str | None:
        part = next(self._parts, None)
        return part.decode() if part is not None else None


def event(version: int, status: str, done: int = 0, total: int = 0, name: str = "progress") -> str:
    progress = f'{{"done": {done}, "total": {total}, "characters": 0}}'
    return f'id: {version}\nevent: {name}\ndata: {{"status": "{status}", "progress": {progress}, "error": null}}\n\n'


def test_a_subscriber_receives_every_change_until_the_end(client: FlaskClient, id_: str, store: Store) -> None:
    stream = Stream(client, id_)
    assert stream.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert stream.response.headers["Cache-Control"] == "no-store"
    assert stream.response.headers["X-Accel-Buffering"] == "no"
    assert stream.next() == RETRY + event(0, "queued")

    run = store.start(id_, total=2)
    assert run
    assert stream.next() == event(1, "running", 0, 2)
    store.add_chunk(id_, run, 0, Part("Uno."))
    assert stream.next() == event(2, "running", 1, 2)
    store.finish(id_, run, "Uno.\n\nDos.")
    assert stream.next() == event(3, "done", 1, 2, "end")
    assert stream.next() is None


def test_a_reconnecting_subscriber_receives_only_new_events(client: FlaskClient, id_: str, store: Store) -> None:
    store.start(id_, total=2)

    stream = Stream(client, id_, last_event_id="1")

    assert stream.next() == RETRY
    store.cancel(id_)
    assert stream.next() == event(2, "cancelled", 0, 2, "end")


@pytest.mark.parametrize("last_event_id", ["", "x", "-1", "99", "0"])
def test_an_invalid_last_event_id_gets_the_newest_state(
    client: FlaskClient, id_: str, store: Store, last_event_id: str
) -> None:
    store.start(id_, total=2)
    assert Stream(client, id_, last_event_id).next() == RETRY + event(1, "running", 0, 2)


def test_the_end_is_sent_once_and_then_204(client: FlaskClient, id_: str, store: Store) -> None:
    store.cancel(id_)

    assert client.get(f"/translations/{id_}/events").text == event(1, "cancelled", name="end")
    again = client.get(f"/translations/{id_}/events", headers={"Last-Event-ID": "1"})
    assert (again.status_code, again.data) == (204, b"")


def test_an_unknown_translation_has_no_events(client: FlaskClient) -> None:
    answer = client.get("/translations/00000000-0000-0000-0000-000000000000/events")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_a_subscriber_over_the_limit_is_refused_with_retry_after(
    client: FlaskClient, id_: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tandem.config import settings

    monkeypatch.setenv("EVENT_READERS", "1")
    settings.reset()
    first = Stream(client, id_)
    first.next()
    assert store.start(id_, total=2)
    first.next()

    answer = client.get(f"/translations/{id_}/events")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    operation = client.get("/openapi.json").get_json()["paths"]["/translations/{id}/events"]["get"]
    example = operation["responses"]["503"]["content"]["application/problem+json"]["example"]
    assert answer.get_json() == example | {"detail": example["detail"].replace("500", "1")}
    first.response.close()
    eventually(lambda: not responses.hub().full)
    assert Stream(client, id_).next() == RETRY + event(1, "running", 0, 2)


def test_head_is_answered_and_does_not_count(client: FlaskClient, id_: str) -> None:
    answer = client.head(f"/translations/{id_}/events")
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/event-stream", b"")
    assert len(responses.hub()) == 0


class Server:
    """Stands for gunicorn's connection of a request."""

    chunked = False
    announced = False

    def __init__(self) -> None:
        self.client, self._socket = socket.socketpair()
        self.client.settimeout(5)

    def close_after(self) -> None:
        self.announced = True

    def release(self) -> socket.socket:
        return socket.socket(fileno=self._socket.detach())


def test_the_hub_takes_over_the_connection_after_the_first_event(client: FlaskClient, id_: str, store: Store) -> None:
    server = Server()
    response = client.get(f"/translations/{id_}/events", environ_overrides={responses.CONNECTION: server})
    body = iter(cast("Iterator[bytes]", response.response))
    assert server.announced
    assert next(body).decode() == RETRY + event(0, "queued")

    with pytest.raises(OSError, match="the hub has taken over"):
        next(body)

    store.cancel(id_)
    assert server.client.recv(1000).decode() == event(1, "cancelled", name="end")
    assert server.client.recv(1000) == b""


def test_gunicorn_releases_a_handed_over_connection_once() -> None:
    client, served = socket.socketpair()
    taken = socket.socket(fileno=served.detach())
    worker = cast(Any, connections.Worker.__new__(connections.Worker))
    worker.nr_conns = 1

    worker.finish_request(SimpleNamespace(sock=served), None)

    assert worker.nr_conns == 0
    taken.send(b"!")
    assert client.recv(1) == b"!"
