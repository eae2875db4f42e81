"""The response with which a reader's connection goes over to the hub."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Protocol

from flask import Response, request
from werkzeug.exceptions import ServiceUnavailable

from app import settings
from app.event_streams import wire
from app.event_streams.feed import Event, Feed
from app.event_streams.hub import Hub
from app.event_streams.reader import Reader
from app.queueing.connection import connect

#: Where a server that can part with a connection puts it into the WSGI environment.
CONNECTION = "tandem.connection"
RETRY_AFTER_SECONDS = 5

_making = Lock()


class Connection(Protocol):
    """The connection of a request, as the server sees it."""

    def close_after(self) -> None:
        """Has the response say that the connection ends with it."""

    @property
    def chunked(self) -> bool:
        """Whether the response's body is chunked; known when its head is."""

    def release(self) -> socket.socket:
        """Takes the socket out of the server's hands. The body of the response has to end with an OSError then."""


@cache
def _make_hub() -> Hub:
    config = settings.current()
    return Hub(lambda: connect(config, decode=True), limit=config.event_readers)


def hub() -> Hub:
    """This process's hub."""
    with _making:
        return _make_hub()


def close() -> None:
    """Ends all streams of this process, when it is about to leave; gunicorn's master, which has none, gets none."""
    if _make_hub.cache_info().currsize:
        hub().close()


def respond(feed: Feed, id: str, newest: Event) -> Response:
    """The record's `newest` event, unless the reader has seen it, and then every later one until the last.

    204, after which browsers do not come again, when the reader has seen the last one. Raises ServiceUnavailable.
    """
    seen = wire.last_seen(request.headers.get("Last-Event-ID"), newest.version) == newest.version
    if newest.last:
        return Response(status=204) if seen else _response(wire.frame(newest))
    if hub().full:
        limit = settings.current().event_readers
        raise ServiceUnavailable(
            f"{limit} readers of events are connected to this process, more are not allowed (EVENT_READERS)",
            retry_after=RETRY_AFTER_SECONDS,
        )
    opening = wire.RETRY if seen else wire.RETRY + wire.frame(newest)
    connection: Connection | None = request.environ.get(CONNECTION)
    if connection is None:
        return _response(_on_this_thread(opening, feed, id, newest.version))
    connection.close_after()
    return _response(_handed_over(connection, opening, feed, id, newest.version))


def _response(body: bytes | Iterator[bytes]) -> Response:
    response = Response(body, mimetype="text/event-stream", direct_passthrough=not isinstance(body, bytes))
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _handed_over(connection: Connection, opening: bytes, feed: Feed, id: str, seen: int) -> Iterator[bytes]:
    # The server sends the head with it: every header of the application, its own, and a line of its log.
    yield opening
    hub().take(Reader(connection.release(), feed, id, seen, chunked=connection.chunked))
    raise OSError(errno.ENOTCONN, "the connection is the hub's now")


def _on_this_thread(opening: bytes, feed: Feed, id: str, seen: int) -> Iterator[bytes]:
    """For a server that keeps its connections: the hub writes into a pipe of which this thread reads."""
    yield opening
    ours, hubs = socket.socketpair()
    with ours:
        hub().take(Reader(hubs, feed, id, seen, chunked=False))
        while data := ours.recv(4096):
            yield data
