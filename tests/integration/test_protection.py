"""Tokens, limits and slow clients on the real image, where gunicorn and Redis take part."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.tandem import Tandem, await_true

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105
WRONG = "a-guess-that-is-quite-wrong"
GOOD = {"text": "Good morning.", "target": "es"}
HEAD = b"POST /translations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
#: More than app/web/worker.py gives a request that comes slowly.
GIVEN_UP_SECONDS = 30


@pytest.fixture
def tandem(start: Callable[..., Tandem]) -> Tandem:
    return start(API_TOKEN=TOKEN, RATE_LIMIT="5", OLLAMA_URL="http://nowhere:11434").await_healthy()


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_protects_the_api_and_stands_in_no_log(tandem: Tandem) -> None:
    assert tandem.request("POST", "/translations", json=GOOD).status_code == 401
    assert tandem.request("POST", "/translations", json=GOOD, headers=bearer(WRONG)).status_code == 401
    assert tandem.request("GET", "/translations", headers=bearer()).json() == {"translations": [], "next": None}
    for path in ("/", "/docs", "/openapi.json", "/healthz"):
        assert tandem.request("GET", path).status_code == 200
    assert "detail" not in tandem.request("GET", "/readyz").json()["checks"]["redis"]

    # The health check and the monitor know the token; what they say has the reason in it.
    assert "model" in tandem.output("queue", "health")
    await_true(
        lambda: "alert model raised: model: Ollama" in tandem.logs(), seconds=60, what="the monitor sees reasons"
    )
    assert TOKEN not in tandem.logs() and WRONG not in tandem.logs()
    assert "API_TOKEN=******" in tandem.output("queue", "config")


def test_a_client_has_one_limit_over_all_web_processes(tandem: Tandem) -> None:
    answers = [tandem.request("POST", "/translations", json=GOOD, headers=bearer()) for _ in range(8)]

    assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 3
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json()["detail"].startswith("at most 5 changes a minute are allowed")
    assert tandem.request("GET", "/translations", headers=bearer()).status_code == 200


def test_clients_that_dribble_hold_no_thread_for_long(start: Callable[..., Tandem]) -> None:
    tandem = start(WEB_WORKERS="1", WEB_THREADS="3").await_healthy()
    with ThreadPoolExecutor(3) as pool:
        bodies = [pool.submit(dribble, tandem, HEAD + b"Content-Length: 10000\r\n\r\n") for _ in range(2)]
        heads = pool.submit(dribble, tandem, b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        for body in bodies:
            answer = body.result(timeout=2 * GIVEN_UP_SECONDS)
            assert answer.startswith(b"HTTP/1.1 408 "), answer
            assert b"application/problem+json" in answer
        assert heads.result(timeout=2 * GIVEN_UP_SECONDS) == b""
    assert tandem.request("GET", "/healthz").status_code == 200
    assert "Traceback" not in tandem.logs()


def dribble(tandem: Tandem, beginning: bytes) -> bytes:
    """What the server answers to a client that sends a byte now and then, until it hangs up."""
    with connection(tandem) as client:
        client.sendall(beginning)
        client.settimeout(0.2)
        received = b""
        end = time.monotonic() + GIVEN_UP_SECONDS
        while time.monotonic() < end:
            try:
                client.send(b"x")
                data = client.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                return received
            if not data:
                return received
            received += data
    raise AssertionError("it may go on for ever")


def connection(tandem: Tandem) -> socket.socket:
    url = urlsplit(tandem.url)
    assert url.hostname and url.port
    return socket.create_connection((url.hostname, url.port), timeout=10)


UNREADABLE: list[tuple[str, bytes, int]] = [
    ("no HTTP", b"GARBAGE\r\n\r\n", 400),
    ("long address", b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    ("large header", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    ("many headers", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("two lengths", HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("no length", HEAD + b"Content-Length: -1\r\n\r\n", 400),
    ("huge length", HEAD + b"Content-Length: 99999999999\r\n\r\n{}", 413),
    ("bad expectation", HEAD + b"Expect: all\r\nContent-Length: 2\r\n\r\n{}", 417),
    ("bad chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ("long chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n0\r\n\r\n", 400),
    ("body that breaks off", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", 400),
    ("short body", HEAD + b"Content-Length: 10\r\n\r\nabc", 400),
]


def test_what_cannot_be_read_is_answered_with_a_problem(app: Tandem) -> None:
    for what, request, status in UNREADABLE:
        head, body = answer_to(app, request)
        assert int(head.split()[1]) == status, (what, head)
        assert b"application/problem+json" in head and b"default-src 'none'" in head, (what, head)
        assert body["status"] == status and body["detail"], (what, body)
    assert "Traceback" not in app.logs()


def answer_to(tandem: Tandem, request: bytes) -> tuple[bytes, Any]:
    with connection(tandem) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(received(client)).partition(b"\r\n\r\n")
    return head, json.loads(body)


def received(client: socket.socket) -> Iterator[bytes]:
    while data := client.recv(65_536):
        yield data
