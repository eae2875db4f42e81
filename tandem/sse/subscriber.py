"""One connection that receives events."""

from __future__ import annotations

import contextlib
import socket
import struct

from tandem.sse import wire
from tandem.sse.topic import Topic

# The kernel doubles it. With its default, it would buffer megabytes for each client that does not read.
SEND_BUFFER = 65_536
# A subscriber sends nothing more, except a request that it had sent before it received the head.
MAX_INPUT = 65_536
# SO_LINGER of zero seconds.
RESET = struct.pack("ii", 1, 0)


class Subscriber:
    """A socket, the record that it watches, and the version that it has. No method ever blocks."""

    def __init__(self, connection: socket.socket, topic: Topic, id: str, seen: int, *, chunked: bool) -> None:
        self.topic = topic
        self.id = id
        self.channel = topic.channel(id)
        self.seen = seen
        self._chunked = chunked
        self._socket = connection
        self._input = 0
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def fileno(self) -> int:
        """Return the file descriptor, for selectors."""
        return self._socket.fileno()

    def send(self, data: bytes) -> bool:
        """Send data; return False if the client has disconnected or does not read, or if only a part was sent."""
        if self._chunked:
            data = wire.chunk(data)
        try:
            return self._socket.send(data) == len(data)
        except OSError:
            return False

    def is_connected(self) -> bool:
        """Discard what the client has sent; return False if it has closed its end or keeps sending."""
        try:
            received = len(self._socket.recv(4096))
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._input += received
        return received > 0 and self._input <= MAX_INPUT

    def close(self) -> None:
        """Reset the connection, which also discards the kernel's buffer for a client that does not read."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._socket.close()

    def end(self) -> None:
        """Complete the response and close the connection."""
        # With unread input, closing would discard the data that is still to be sent.
        self.is_connected()
        with contextlib.suppress(OSError):
            if self._chunked:
                self._socket.send(wire.LAST_CHUNK)
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()
