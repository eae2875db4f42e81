"""The second workload: what is delivered, what is tried again and what is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from flask import Flask

from tandem.broker.errors import ExpectedError, PermanentError


class Receiver(HTTPServer):
    """Answers with the status that the path says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[dict[str, Any]] = []

    def url(self, status: int) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{status}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def deliver(application: Flask) -> Any:
    """The actor, declared on the application's broker."""
    from app.webhooks import deliver

    return deliver


def test_an_event_is_posted_as_json(deliver: Any, receiver: Receiver) -> None:
    event = {"id": "7", "type": "invoice.paid", "lines": [1, 2]}

    deliver(receiver.url(204), event)

    assert receiver.got == [event]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_receiver_that_is_busy_or_broken_is_tried_again(deliver: Any, receiver: Receiver, status: int) -> None:
    with pytest.raises(ExpectedError, match=f"answered {status}") as error:
        deliver(receiver.url(status), {})

    assert not isinstance(error.value, PermanentError)


@pytest.mark.parametrize("status", [301, 400, 404, 410])
def test_a_refusal_is_final(deliver: Any, receiver: Receiver, status: int) -> None:
    with pytest.raises(PermanentError, match=f"refused the request with {status}"):
        deliver(receiver.url(status), {})


@pytest.mark.parametrize("url", ["", "receiver/hook", "ftp://receiver", "http://receiver:port"])
def test_what_is_no_url_is_final(deliver: Any, url: str) -> None:
    with pytest.raises(PermanentError, match="not a valid URL of a receiver"):
        deliver(url, {})


def test_an_unavailable_receiver_is_retried_and_its_url_is_not_logged(deliver: Any) -> None:
    with pytest.raises(ExpectedError, match="the receiver does not answer") as error:
        deliver("http://127.0.0.1:9/secret", {})  # discard: nothing listens there

    assert not isinstance(error.value, PermanentError)
    assert "secret" not in str(error.value)


def test_it_has_a_queue_of_its_own(deliver: Any) -> None:
    assert deliver.queue_name == "webhooks"
    assert "webhooks" in deliver.broker.get_declared_queues()
