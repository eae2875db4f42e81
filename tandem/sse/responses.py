"""The response that hands a subscriber's connection over to the hub."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Protocol

from flask import Response, request
from werkzeug.exceptions import ServiceUnavailable

from tandem.broker.connection import connect
from tandem.config import settings
from tandem.sse import wire
from tandem.sse.hub import Hub
from tandem.sse.subscriber import Subscriber
from tandem.sse.topic import Event, Topic

#: The key of the WSGI environment under which a server that can release a connection provides it.
CONNECTION = "tandem.connection"
RETRY_AFTER_SECONDS = 5

_hub_lock = Lock()


class Connection(Protocol):
    """The connection of a request, as the server sees it."""

    def close_after(self) -> None:
        """Make the response announce that the connection ends with it."""

    @property
    def chunked(self) -> bool:
        """Whether the response's body is chunked; known once its head is sent."""

    def release(self) -> socket.socket:
        """Return the socket and detach it from the server. The response's body then has to end with an OSError."""


@cache
def _make_hub() -> Hub:
    config = settings.current()
    return Hub(lambda: connect(config, decode=True), limit=config.event_readers)


def hub() -> Hub:
    """Return this process's hub."""
    with _hub_lock:
        return _make_hub()


def close() -> None:
    """End all streams of this process before it exits; does not create a hub, for example in gunicorn's master."""
    if _make_hub.cache_info().currsize:
        hub().close()


def respond(topic: Topic, id: str, newest: Event) -> Response:
    """Respond with the record's `newest` event, unless the client has it already, and every later one until the last.

    Respond with 204, after which browsers do not reconnect, if the client has the last one. Raises ServiceUnavailable.
    """
    seen = wire.last_seen(request.headers.get("Last-Event-ID"), newest.version) == newest.version
    if newest.last:
        return Response(status=204) if seen else _response(wire.frame(newest))
    if hub().full:
        limit = settings.current().event_readers
        raise ServiceUnavailable(
            f"too many event streams: this process already serves {limit} (EVENT_READERS), try again later",
            retry_after=RETRY_AFTER_SECONDS,
        )
    opening = wire.RETRY if seen else wire.RETRY + wire.frame(newest)
    connection: Connection | None = request.environ.get(CONNECTION)
    if connection is None:
        return _response(_on_own_thread(opening, topic, id, newest.version))
    connection.close_after()
    return _response(_handed_over(connection, opening, topic, id, newest.version))


def _response(body: bytes | Iterator[bytes]) -> Response:
    response = Response(body, mimetype="text/event-stream", direct_passthrough=not isinstance(body, bytes))
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _handed_over(connection: Connection, opening: bytes, topic: Topic, id: str, seen: int) -> Iterator[bytes]:
    # The server sends the head with it: every header of the application, its own, and a line of its log.
    yield opening
    hub().accept(Subscriber(connection.release(), topic, id, seen, chunked=connection.chunked))
    raise OSError(errno.ENOTCONN, "the hub has taken over the connection")


def _on_own_thread(opening: bytes, topic: Topic, id: str, seen: int) -> Iterator[bytes]:
    """Stream on a server that cannot release its connections: the hub writes into a pipe, this thread reads from it."""
    yield opening
    ours, hubs = socket.socketpair()
    with ours:
        hub().accept(Subscriber(hubs, topic, id, seen, chunked=False))
        while data := ours.recv(4096):
            yield data
