"""The server: sockets, threads, the log, and a clean shutdown."""

import os
import signal
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from socketserver import TCPServer
from typing import Any

from .apertium import Apertium
from .errors import ApiError, ClientGone
from .exchange import Exchange
from .routes import Routes
from .settings import Settings, settings_from
from .translator import Translator

# nginx's number for "the client closed the connection"; it is only logged.
CLIENT_CLOSED = 499


class ModelServer(ThreadingHTTPServer):
    """Serves Ollama's API; a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: Settings, translator: Translator, host: str) -> None:
        self.routes = Routes(settings, translator)
        super().__init__((host, settings.port), Handler)

    def server_bind(self) -> None:
        """Bind without the base class's look-up of the host's name, which can hang where there is no DNS."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Report a programming error; a broken connection is an ordinary thing and needs no traceback."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    """Reads requests from one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    # Seconds for each read and each write, also for the pause between two requests.
    timeout = 60
    disable_nagle_algorithm = True
    server: ModelServer

    def version_string(self) -> str:
        """The Server header, without Python's version."""
        return "tandem-model"

    def do_GET(self) -> None:
        """Answer a request of any method; the routes know which are allowed."""
        started = time.monotonic()
        exchange = Exchange(self)
        try:
            self._answer(exchange)
        except (ClientGone, OSError):
            self.close_connection = True
            exchange.status = CLIENT_CLOSED
        milliseconds = round((time.monotonic() - started) * 1000)
        log(f"{self.command} {self.path} {exchange.status} {milliseconds} ms {exchange.note}".rstrip())

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _answer(self, exchange: Exchange) -> None:
        try:
            exchange.read_body()
            self.server.routes.serve(self.command, self.path, exchange)
        except ApiError as error:
            exchange.send_json(error.status, {"error": error.message})

    def log_error(self, format: str, *args: Any) -> None:
        """Log errors, but not the end of an idle connection."""
        if not format.startswith("Request timed out"):
            log(format % args)

    def log_message(self, format: str, *args: Any) -> None:
        """Log messages of the base class."""
        log(format % args)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: each request gets its line at its end."""


def log(line: str) -> None:
    """Write one line to stdout at once; control characters in an address must not reach a terminal."""
    print("".join(char if char.isprintable() else "?" for char in line), flush=True)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = settings_from(os.environ)
    except ValueError as error:
        sys.exit(f"model: {error}")
    # All interfaces: only the container's network reaches it, unless its port is published.
    apertium = Apertium()
    server = ModelServer(settings, apertium, "0.0.0.0")  # noqa: S104
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever(), which this very thread runs, so it needs another one.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log(f"listening on port {server.server_address[1]}")
    server.serve_forever(poll_interval=0.1)
    apertium.close()
    log("stopped")
    # Running requests are aborted. Exiting without the interpreter's clean-up avoids that their threads, still
    # printing, turn the end into a crash.
    os._exit(0)
