"""Events as they stand on the wire."""

from __future__ import annotations

import re

from app.event_streams.feed import Event

#: Comes again after two seconds when the connection breaks.
RETRY = b"retry: 2000\n\n"
HEARTBEAT = b":\n\n"
LAST_CHUNK = b"0\r\n\r\n"

_VERSION = re.compile(r"[0-9]{1,18}", re.ASCII)


def frame(event: Event) -> bytes:
    """The event with its version as its id, so that a reader that comes again can say what it has seen."""
    return f"id: {event.version}\nevent: {event.name}\ndata: {event.data}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1)."""
    return b"%X\r\n%s\r\n" % (len(data), data)


def last_seen(header: str | None, newest: int) -> int | None:
    """The version in a Last-Event-ID; None for one that cannot be, which counts as none at all."""
    if header is None or not _VERSION.fullmatch(header):
        return None
    return version if (version := int(header)) <= newest else None
