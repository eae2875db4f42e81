"""A request must come in time; what gunicorn refuses by itself is a problem document as well."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from app.web import worker
from app.web.worker import SlowRequest, TimedSocket


@pytest.fixture
def pair() -> Iterator[tuple[TimedSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    timed = TimedSocket(fileno=ours.detach())
    with timed, theirs:
        timed.begin_request()
        yield timed, theirs


def test_a_silent_client_is_given_up(pair: tuple[TimedSocket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "REQUEST_SECONDS", 0.05)
    with pytest.raises(SlowRequest):
        pair[0].recv(10)
    assert pair[0].gettimeout() is None


def test_a_client_that_sends_a_byte_now_and_then_is_given_up(
    pair: tuple[TimedSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REQUEST_SECONDS", 0.2)
    timed, theirs = pair
    stop = threading.Event()

    def dribble() -> None:
        while not stop.wait(0.01):
            theirs.send(b"x")

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        with pytest.raises(SlowRequest):
            for _ in range(10_000):
                timed.recv(10)
    finally:
        stop.set()
        thread.join()


def test_one_that_sends_fast_enough_has_longer(
    pair: tuple[TimedSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REQUEST_SECONDS", 0)
    monkeypatch.setattr(worker, "BYTES_PER_SECOND", 1)
    timed, theirs = pair
    with pytest.raises(SlowRequest):
        timed.recv(100)
    monkeypatch.setattr(worker, "REQUEST_SECONDS", 5)
    theirs.send(b"x" * 100)
    assert len(timed.recv(100)) == 100
    monkeypatch.setattr(worker, "REQUEST_SECONDS", 0)
    theirs.send(b"x")
    assert timed.recv(100) == b"x"


def test_the_next_request_has_its_own_time(
    pair: tuple[TimedSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed, theirs = pair
    monkeypatch.setattr(worker, "monotonic", lambda: 1000.0)
    timed.begin_request()
    monkeypatch.setattr(worker, "monotonic", lambda: 1000.0 + worker.REQUEST_SECONDS)
    with pytest.raises(SlowRequest):
        timed.recv(10)
    timed.begin_request()
    theirs.send(b"x")
    assert timed.recv(10) == b"x"


def test_an_answer_that_nobody_takes_is_given_up(
    pair: tuple[TimedSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "ANSWER_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        pair[0].sendall(b"x" * 10_000_000)


def test_a_shorter_timeout_of_somebody_else_stays(pair: tuple[TimedSocket, socket.socket]) -> None:
    pair[0].settimeout(0.01)
    with pytest.raises(SlowRequest):
        pair[0].recv(10)
    assert pair[0].gettimeout() == 0.01


@pytest.mark.parametrize("status", [400, 403, 414, 417, 431, 500, 501])
def test_an_error_of_gunicorn_is_a_problem(status: int) -> None:
    head, _, body = worker._problem(status).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert problem["status"] == status and problem["detail"]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    assert b"Content-Length: %d" % len(body) in head
    assert b"default-src 'none'" in head
