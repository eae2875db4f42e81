"""gunicorn's threaded worker, extended by a memory limit and problem documents for gunicorn's own errors."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from tandem.config import settings
from tandem.config.values import MIB
from tandem.process.resource_usage import resident_memory
from tandem.web.security_headers import SECURITY

POLL_INTERVAL = 1.0

_SENTENCES = {
    400: "invalid request: expected HTTP/1.1 as in RFC 9112",
    414: "the request line is too long: expected at most 4,094 bytes",
    417: "invalid Expect header: expected 100-continue",
    431: "the header is too large: expected at most 100 fields of at most 8,190 bytes each",
    500: "internal error: see the server's log",
    501: "unsupported Transfer-Encoding: expected chunked",
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """The base of the worker class of tandem/web/gunicorn_config.py (see connections.py)."""

    alive: bool
    _next_check = 0.0
    _memory = 0

    def notify(self) -> None:
        """Send gunicorn's master a heartbeat, in each round of the main thread's loop, and check the memory."""
        super().notify()
        if monotonic() >= self._next_check:
            self._next_check = monotonic() + POLL_INTERVAL
            self._memory = resident_memory()
        limit = settings.current().web_memory_limit
        # Not while requests are running: a successor starts only when they have ended, and all workers might stop at
        # once.
        if self.alive and limit and self._memory >= limit and not self.nr_conns:
            self.log.info("memory limit: %d of %d MiB, exiting", self._memory // MIB, limit // MIB)
            self.alive = False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Handle a request that never reached the application: gunicorn logs it, the client gets a problem document."""
        page = _Page()
        super().handle_error(req, page, addr, exc)
        if page.status:
            try:
                client.sendall(_problem(page.status))
            except OSError as error:
                self.log.debug("sending an error to the client failed: %s", error)


class _Page:
    """Receives gunicorn's error page instead of the client."""

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
