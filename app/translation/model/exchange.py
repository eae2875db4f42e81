"""One HTTP request and its answer, on the socket level."""

import json
import select
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler

from .errors import ApiError, ClientGone

LARGEST_BODY = 4 * 1024 * 1024
# How long, in seconds, the rest of a body that is too large is read and discarded.
DRAIN = 2.0
NDJSON = "application/x-ndjson"
JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


class Exchange:
    """Reads the body, and writes either one answer or a stream of lines.

    Writing raises OSError when it fails.
    """

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self._hangup = select.poll()
        self._hangup.register(handler.connection, select.POLLRDHUP)
        self.body = b""
        self.status = 0
        self.note = ""

    @property
    def begun(self) -> bool:
        """Whether the status line was sent, so that the status cannot change any more."""
        return self.status != 0

    def read_body(self) -> None:
        """Read the whole body. Raises ApiError 400, 411 or 413, ClientGone when it ends early."""
        if "Transfer-Encoding" in self._handler.headers:
            self._handler.close_connection = True
            raise ApiError(411, "send a Content-Length")
        length = self._handler.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit():
            self._handler.close_connection = True
            raise ApiError(400, "bad Content-Length")
        if int(length) > LARGEST_BODY:
            self._handler.close_connection = True
            raise ApiError(413, f"the request is larger than {LARGEST_BODY} bytes")
        self.body = self._handler.rfile.read(int(length))
        if len(self.body) < int(length):
            raise ClientGone

    def send(self, status: int, content: bytes, content_type: str) -> None:
        """Send the whole answer at once; no content for HEAD."""
        self._start(status, content_type, ("Content-Length", str(len(content))))
        if self._handler.command != "HEAD":
            self._handler.wfile.write(content)
        if status == 413:
            self._drain()

    def send_json(self, status: int, value: object) -> None:
        """Send one JSON object as the whole answer."""
        self.send(status, _encode(value), JSON)

    def send_line(self, value: object) -> None:
        """Send one line of a stream. The status and the headers go out with the first one, as Ollama's do."""
        if not self.begun:
            self._start(200, NDJSON, ("Transfer-Encoding", "chunked"))
        line = _encode(value) + b"\n"
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))

    def end_lines(self) -> None:
        """End the stream properly, also one without any line."""
        if not self.begun:
            self._start(200, NDJSON, ("Transfer-Encoding", "chunked"))
        self._handler.wfile.write(b"0\r\n\r\n")

    def gone(self, wait: float = 0.0) -> bool:
        """Return whether the client closed its side within ``wait`` seconds; return immediately if it has."""
        return bool(self._hangup.poll(max(0.0, wait) * 1000))

    def reset(self) -> None:
        """Reset the connection with a TCP RST, so that the client sees an error and not an end."""
        self._handler.close_connection = True
        # Lingering for zero seconds makes close() send the reset.
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The handler's file objects keep the socket open: close the descriptor under them.
        socket.close(self._handler.connection.detach())

    def _start(self, status: int, content_type: str, framing: tuple[str, str]) -> None:
        self.status = status
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", content_type)
        self._handler.send_header(*framing)
        if self._handler.close_connection:
            self._handler.send_header("Connection", "close")
        self._handler.end_headers()

    def _drain(self) -> None:
        """Read on for a while: closing a socket with unread data resets it, which loses the answer."""
        connection = self._handler.connection
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(DRAIN)
        deadline = time.monotonic() + DRAIN
        while time.monotonic() < deadline and connection.recv(65536):
            pass


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
