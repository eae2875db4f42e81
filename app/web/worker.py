"""gunicorn's threaded worker with two things added: a request must arrive in time, and its own errors are problems too.

gunicorn waits without an end for the rest of a request that has begun, so a few clients that send a byte now and then
would hold all threads.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ECONNRESET
from http import HTTPStatus
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from app.web.headers import SECURITY

# As Apache's mod_reqtimeout has it: so long for a request, and longer for one that comes at this rate.
REQUEST_SECONDS = 20
BYTES_PER_SECOND = 32_768
# How long a client may leave an answer lying when it has filled all buffers.
ANSWER_SECONDS = 60

_SENTENCES = {
    400: "this is no request of HTTP/1.1 as RFC 9112 has it",
    414: "the request line is too long: at most 4,094 bytes are allowed",
    417: "the header Expect may only be 100-continue",
    431: "the header is too large: at most 100 fields of at most 8,190 bytes each are allowed",
    500: "the server made a mistake; it is in its log",
    501: "the Transfer-Encoding may only be chunked",
}


class SlowRequest(ConnectionResetError, TimeoutError):
    """A request that did not come in time; gunicorn treats it as a client that has hung up."""


class TimedSocket(socket.socket):
    """A connection that gives up a request that comes too slowly, and an answer that nobody takes."""

    _begun = 0.0
    _received = 0

    def begin_request(self) -> None:
        """Starts the clock of a request."""
        self._begun, self._received = monotonic(), 0

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As every socket's. Raises SlowRequest."""
        left = self._begun + REQUEST_SECONDS + self._received / BYTES_PER_SECOND - monotonic()
        if left <= 0:
            raise SlowRequest(ECONNRESET, "the request came too slowly")
        try:
            with self._at_most(left):
                data = super().recv(size, flags)
        except TimeoutError as error:
            raise SlowRequest(ECONNRESET, "the request came too slowly") from error
        self._received += len(data)
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As every socket's. Raises TimeoutError."""
        with self._at_most(ANSWER_SECONDS):
            super().sendall(data, flags)

    @contextmanager
    def _at_most(self, seconds: float) -> Iterator[None]:
        before = self.gettimeout()
        self.settimeout(seconds if before is None else min(seconds, before))
        try:
            yield
        finally:
            self.settimeout(before)


class Worker(ThreadWorker):  # type: ignore[misc]
    """What the worker class of app/web/server.py is made of (see connections.py)."""

    def enqueue_req(self, conn: TConn) -> None:
        """Every connection comes by here before it is read from."""
        if not isinstance(conn.sock, TimedSocket):
            conn.sock = TimedSocket(fileno=conn.sock.detach())
            conn.sock.setblocking(False)
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """One request."""
        conn.sock.begin_request()
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """A request that never reached the application: its log lines are gunicorn's, what the client gets is ours."""
        page = _Page()
        super().handle_error(req, page, addr, exc)
        if page.status:
            try:
                client.sendall(_problem(page.status))
            except OSError as error:
                self.log.debug("the client does not take its error: %s", error)


class _Page:
    """Takes gunicorn's page of an error in the place of the client."""

    status = 0

    def gettimeout(self) -> float:
        return 0.0

    def sendall(self, data: bytes) -> None:
        if match := re.match(rb"HTTP/1\.1 (\d{3}) ", data):
            self.status = int(match[1])


def _problem(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase
    body = json.dumps({"title": phrase, "status": status, "detail": _SENTENCES.get(status, phrase)}).encode()
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        **SECURITY,
    }
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
