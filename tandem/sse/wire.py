"""The wire format of events."""

from __future__ import annotations

import re

from tandem.sse.topic import Event

#: Makes the client reconnect after two seconds when the connection breaks.
RETRY = b"retry: 2000\n\n"
HEARTBEAT = b":\n\n"
LAST_CHUNK = b"0\r\n\r\n"

_VERSION = re.compile(r"[0-9]{1,18}", re.ASCII)


def frame(event: Event) -> bytes:
    """Return the event with its version as its id, so that a reconnecting client can send the last one it has."""
    return f"id: {event.version}\nevent: {event.name}\ndata: {event.data}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """Return a chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1)."""
    return b"%X\r\n%s\r\n" % (len(data), data)


def last_seen(header: str | None, newest: int) -> int | None:
    """Return the version in a Last-Event-ID; None without one or for an invalid one."""
    if header is None or not _VERSION.fullmatch(header):
        return None
    return version if (version := int(header)) <= newest else None
