"""LARGE_BODIES: how many large requests one web process handles at once; each can use many times its size of memory."""

from __future__ import annotations

from threading import BoundedSemaphore

from flask import Flask, Response, g, request

from tandem.config.settings import Settings
from tandem.web.problems import RETRY_AFTER_SECONDS, problem

# The largest body, in bytes, that a route accepts by default; larger ones are counted.
MAX_BODY = 65_536


def register(app: Flask, settings: Settings) -> None:
    """Refuse requests over the limit with 503 instead of letting them wait on a thread."""
    slots = BoundedSemaphore(settings.large_bodies)

    @app.before_request
    def acquire() -> Response | None:
        if not _is_large():
            return None
        if not slots.acquire(blocking=False):
            return _refusal(settings.large_bodies)
        g.has_slot = True
        return None

    @app.teardown_request
    def release(_error: BaseException | None) -> None:
        if g.pop("has_slot", False):
            slots.release()


def _is_large() -> bool:
    length = request.content_length
    # A chunked body has no length; after the proxy there are none.
    return length > MAX_BODY if length is not None else "Transfer-Encoding" in request.headers


def _refusal(limit: int) -> Response:
    sentence = f"too many large bodies at once (more than {limit}, LARGE_BODIES): try again soon"
    refused = problem(503, "Service Unavailable", sentence)
    refused.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return refused
