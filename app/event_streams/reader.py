"""One connection of somebody who reads events."""

from __future__ import annotations

import contextlib
import socket
import struct

from app.event_streams import wire
from app.event_streams.feed import Feed

# The kernel doubles it. Beyond, it would keep megabytes for each reader that does not read.
SEND_BUFFER = 65_536
# Nothing has to come from a reader any more, save a request that it had sent before it saw the head.
LONGEST_INPUT = 65_536
# SO_LINGER of zero seconds.
RESET = struct.pack("ii", 1, 0)


class Reader:
    """Its socket, the record that it watches, and the version that it has seen. Nothing here ever waits."""

    def __init__(self, connection: socket.socket, feed: Feed, id: str, seen: int, *, chunked: bool) -> None:
        self.feed = feed
        self.id = id
        self.channel = feed.channel(id)
        self.seen = seen
        self._chunked = chunked
        self._socket = connection
        self._input = 0
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, data: bytes) -> bool:
        """False when the reader has gone or does not read: what fits only in part is of no use to it."""
        if self._chunked:
            data = wire.chunk(data)
        try:
            return self._socket.send(data) == len(data)
        except OSError:
            return False

    def is_there(self) -> bool:
        """Reads away what it has sent; False when it has closed its end or does not stop sending."""
        try:
            received = len(self._socket.recv(4096))
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._input += received
        return received > 0 and self._input <= LONGEST_INPUT

    def close(self) -> None:
        """Lets it go at once, and with it what the kernel has for it: one that does not read would keep that long."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._socket.close()

    def end(self) -> None:
        """Completes the response and lets it go."""
        # With something unread, closing would throw away what is still to be sent.
        self.is_there()
        with contextlib.suppress(OSError):
            if self._chunked:
                self._socket.send(wire.LAST_CHUNK)
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()
