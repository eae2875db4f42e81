"""Tokens, limits and slow clients on the real image, where gunicorn and Redis take part."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tandem.web.proxy_configuration import LARGE_BODIES_OF_A_CLIENT
from tests.integration.tandem import IMAGE, Tandem, await_true, locked_down

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105
WRONG = "a-guess-that-is-quite-wrong"
GOOD = {"text": "Good morning."}
HEAD = b"POST /notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
#: More than docker/nginx.conf gives a header.
GIVEN_UP_SECONDS = 30


@pytest.fixture
def tandem(start: Callable[..., Tandem]) -> Tandem:
    return start(API_TOKEN=TOKEN, RATE_LIMIT="5", UPSTREAM_URL="http://nowhere:8080").await_healthy()


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_protects_the_api_and_stands_in_no_log(tandem: Tandem) -> None:
    assert tandem.request("POST", "/notes", json=GOOD).status_code == 401
    assert tandem.request("POST", "/notes", json=GOOD, headers=bearer(WRONG)).status_code == 401
    assert tandem.request("GET", "/notes", headers=bearer()).json() == {"notes": []}
    for path in ("/", "/docs", "/openapi.json", "/healthz"):
        assert tandem.request("GET", path).status_code == 200
    assert "detail" not in tandem.request("GET", "/readyz").json()["checks"]["redis"]

    # The health check and the monitor know the token; what they say has the reason in it.
    assert "upstream" in tandem.output("queue", "health")
    await_true(
        lambda: "alert upstream raised: upstream: upstream" in tandem.logs(),
        seconds=60,
        what="the monitor sees reasons",
    )
    assert TOKEN not in tandem.logs() and WRONG not in tandem.logs()
    assert "API_TOKEN=******" in tandem.output("queue", "config")


def test_each_named_token_has_its_own_notes_and_its_name_in_the_log(start: Callable[..., Tandem]) -> None:
    alice, bob = "alice-has-this-token", "bob-has=this=token=="
    tandem = start(API_TOKENS=f"alice:{alice},bob:{bob}", UPSTREAM_URL="http://nowhere:8080").await_healthy()

    made = tandem.request("POST", "/notes", json=GOOD, headers=bearer(alice)).json()["id"]
    path = f"/notes/{made}"

    assert tandem.request("GET", path, headers=bearer(alice)).status_code == 200
    assert tandem.request("GET", path, headers=bearer(bob)).status_code == 404
    assert tandem.request("GET", "/notes", headers=bearer(bob)).json()["notes"] == []
    wrong = [tandem.request("GET", path, headers=bearer(f"{WRONG}{n}")).status_code for n in range(22)]
    assert wrong == [401] * 20 + [429] * 2
    assert tandem.request("GET", path, headers=bearer(alice)).status_code == 200
    await_true(lambda: re.search(rf' bob "GET {path} HTTP/1.1" 404 ', tandem.logs()), seconds=10, what="it is logged")
    # The monitor has no token but these.
    await_true(
        lambda: "alert upstream raised: upstream: upstream" in tandem.logs(),
        seconds=60,
        what="the monitor sees reasons",
    )
    assert "API_TOKENS=******" in tandem.output("queue", "config")
    assert not any(secret in tandem.logs() for secret in (alice, bob, WRONG))


def test_a_client_has_one_limit_over_all_web_processes(tandem: Tandem) -> None:
    answers = [tandem.request("POST", "/notes", json=GOOD, headers=bearer()) for _ in range(8)]

    assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 3
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json()["detail"].startswith("too many changes (more than 5 a minute)")
    assert tandem.request("GET", "/notes", headers=bearer()).status_code == 200


#: Goal for the slowest /healthz, also while other tests keep the machine busy.
HEALTHZ_SECONDS = 3.0
SILENT = """
import socket
listener, kept = socket.create_server(("", 11434), backlog=1024), []
while True:
    kept.append(listener.accept())
"""


@pytest.fixture
def silent_upstream(network: Network) -> Iterator[str]:
    """The URL of a service that accepts connections and says nothing."""
    container = DockerContainer(IMAGE).with_network(network).with_network_aliases("silent-upstream")
    container.with_command(["python3", "-c", SILENT])
    locked_down(container, "upstream").start()
    yield "http://silent-upstream:11434"
    container.stop(delete_volume=True)


def test_the_web_answers_while_others_send_slowly_or_nothing(
    start: Callable[..., Tandem], silent_upstream: str
) -> None:
    tandem = start(WEB_THREADS="4", UPSTREAM_URL=silent_upstream).await_healthy()
    long = tandem.hand_in("word" * 20_000)
    read = f"GET /notes/{long}/text HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 8
    attacks = {
        "silent": (40, b""),
        "half a header": (40, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
        "half a body": (16, HEAD + b"Content-Length: 10000\r\n\r\n{"),
        "nobody reads": (16, read),
        "/readyz": (16, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4),
    }
    for what, (count, opening) in attacks.items():
        with ExitStack() as held:
            for _ in range(count):
                held.enter_context(connection(tandem, direct=True)).sendall(opening)
            slowest = max(healthz_seconds(tandem) for _ in range(10))
            assert slowest < HEALTHZ_SECONDS, (what, slowest)
    assert not tandem.tracebacks_of("web")


def healthz_seconds(tandem: Tandem) -> float:
    """How long /healthz takes, on a connection of its own."""
    since = time.monotonic()
    assert tandem.request("GET", "/healthz").status_code == 200
    return time.monotonic() - since


@pytest.mark.parametrize("accept", [b"", b"Accept: text/event-stream\r\n"])
def test_one_client_sends_few_large_bodies_at_once_whatever_it_says_that_it_accepts(app: Tandem, accept: bytes) -> None:
    with ExitStack() as held:
        clients = [held.enter_context(connection(app)) for _ in range(LARGE_BODIES_OF_A_CLIENT + 4)]
        for client in clients:
            client.sendall(HEAD + accept + b"Content-Length: 70000\r\n\r\n{")

        ready: list[socket.socket] = []
        deadline = time.monotonic() + 10
        while len(ready) < 4 and time.monotonic() < deadline:
            ready, _, _ = select.select(clients, [], [], 1)
        assert len(ready) == 4
        assert all(b" 429 " in client.recv(4096) for client in ready)


def test_an_incomplete_header_times_out(app: Tandem) -> None:
    with connection(app) as client:
        client.settimeout(GIVEN_UP_SECONDS)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        with suppress(ConnectionResetError):
            assert client.recv(65_536) == b""


def test_the_address_of_a_client_is_what_the_proxy_saw(app: Tandem) -> None:
    forged = {"X-Tandem-Peer": "6.6.6.6", "X-Forwarded-For": "6.6.6.7"}
    assert app.request("GET", "/notes/forged", headers=forged).status_code == 404

    lines = app.output("grep", "/notes/forged", "/var/log/supervisor/web.log").splitlines()
    assert len(lines) == 1
    gateway = next(iter(app.docker.attrs["NetworkSettings"]["Networks"].values()))["Gateway"]
    assert f'{gateway} "GET /notes/forged' in lines[0]


def test_while_the_web_is_stopped_the_answer_is_a_problem(start: Callable[..., Tandem]) -> None:
    tandem = start().await_healthy()
    tandem.output("supervisorctl", "stop", "web")

    answer = tandem.request("GET", "/")
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "starting or stopping" in answer.json()["detail"]


def connection(tandem: Tandem, *, direct: bool = False) -> socket.socket:
    """direct: to the container's own address, because Docker's proxy on loopback reads for those who do not."""
    url = urlsplit(tandem.url)
    assert url.hostname and url.port
    if not direct:
        return socket.create_connection((url.hostname, url.port), timeout=10)
    address = next(iter(tandem.docker.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    client.connect((address, 8000))
    return client


UNREADABLE: list[tuple[str, bytes, int]] = [
    ("no HTTP", b"GARBAGE\r\n\r\n", 400),
    ("long address", b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    ("large header", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    ("many headers", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("two lengths", HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("no length", HEAD + b"Content-Length: -1\r\n\r\n", 400),
    ("huge length", HEAD + b"Content-Length: 99999999999\r\n\r\n{}", 413),
    ("bad chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ("long chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n0\r\n\r\n", 400),
]


def test_what_cannot_be_read_is_answered_with_a_problem(app: Tandem) -> None:
    begin = time.time()
    for what, request, status in UNREADABLE:
        head, body = answer_to(app, request)
        assert int(head.split()[1]) == status, (what, head)
        assert b"application/problem+json" in head and b"default-src 'none'" in head, (what, head)
        assert body["status"] == status and body["detail"], (what, body)
    assert not app.tracebacks_of("web", since=begin)


def answer_to(tandem: Tandem, request: bytes) -> tuple[bytes, Any]:
    with connection(tandem) as client:
        client.sendall(request)
        head, _, body = received(client).partition(b"\r\n\r\n")
    return head, json.loads(body)


def received(client: socket.socket) -> bytes:
    """One answer with a Content-Length."""
    data = b""
    while (got := client.recv(65_536)) and not _is_whole(data := data + got):
        pass
    return data


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end and length and len(body) >= int(length[1]))
