"""Alerts: posted in the background, tried again, and never a reason to wait."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tandem.process import alert_sender, webhook
from tandem.process.alert_sender import AlertSender


class Receiver(HTTPServer):
    """Refuses the configured number of requests, then accepts all."""

    refusals = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[dict[str, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.complete = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = self.server.refusals > 0
        self.server.refusals -= 1
        if not refused:
            # Before the response, because the test reads it after the response.
            self.server.got.append(body)
            self.server.complete.set()
        self.send_response(503 if refused else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    monkeypatch.setenv("ALERT_WEBHOOK_URL", f"http://127.0.0.1:{server.server_address[1]}/secret")
    monkeypatch.setattr(alert_sender, "BACKOFF", (0.01, 0.01))
    yield server
    server.shutdown()
    server.server_close()


def test_an_alert_is_a_sentence_with_its_details(receiver: Receiver) -> None:
    AlertSender().send("web was given up", process="web", state="FATAL")

    assert receiver.complete.wait(5)
    (got,) = receiver.got
    assert got.pop("text").endswith(": web was given up")
    assert got == {"process": "web", "state": "FATAL"}


def test_a_receiver_that_refuses_is_asked_again(receiver: Receiver) -> None:
    receiver.refusals = 2
    AlertSender().send("web was given up")

    assert receiver.complete.wait(5)
    assert len(receiver.got) == 1


def test_an_alert_that_cannot_be_sent_is_logged_without_the_secret(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.refusals = alert_sender.TRIES
    heard = AlertSender()
    with caplog.at_level(logging.ERROR):
        heard.send("web was given up")
        heard.send("another one")
        assert receiver.complete.wait(5)  # the second one got through, so the first was given up

    assert "sending the alert failed 3 times" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_receiver_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALERT_WEBHOOK_URL", raising=False)
    before = threading.active_count()
    AlertSender().send("web was given up")
    assert threading.active_count() == before


def url(receiver: Receiver, credentials: str = "") -> str:
    return f"http://{credentials}127.0.0.1:{receiver.server_address[1]}/hook/secret?key=secret"


def test_the_receiver_is_asked_as_its_url_says(receiver: Receiver) -> None:
    assert webhook.post(url(receiver, "me:p%40ss@"), "hello", {"value": 7, "threshold": None})

    assert receiver.asked == [("/hook/secret?key=secret", "Basic bWU6cEBzcw==")]
    assert receiver.got == [{"text": f"{socket.gethostname()}: hello", "value": 7, "threshold": None}]


@pytest.mark.parametrize(
    "nobody", ["http://127.0.0.1:9/secret", "http://secret.invalid/", "https://127.0.0.1:9/secret", "http://[secret"]
)
def test_the_url_of_a_missing_receiver_is_not_logged(nobody: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not webhook.post(nobody, "hello", {})
    assert "posting an alert failed" in caplog.text and "secret" not in caplog.text


def test_a_receiver_that_refuses_did_not_take_it(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.refusals = 1
    assert not webhook.post(url(receiver), "hello", {})
    assert "the receiver answered 503" in caplog.text and "secret" not in caplog.text


def test_a_receiver_that_never_answers_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not webhook.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", "hello", {})
