"""gunicorn's threaded worker, which can part with a connection in the middle of a response."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from gunicorn.http.wsgi import Response
from gunicorn.workers.gthread import TConn

from app.event_streams.responses import CONNECTION
from app.web import worker

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Connection:
    """The connection of one request, for an application that wants to go on with it by itself."""

    def __init__(self, connection: socket.socket, response: Response) -> None:
        self._socket = connection
        self._response = response

    def close_after(self) -> None:
        """Has the response say that the connection ends with it."""
        self._response.force_close()

    @property
    def chunked(self) -> bool:
        """Whether the response's body is chunked; known when its head is."""
        return bool(self._response.chunked)

    def release(self) -> socket.socket:
        """Takes the socket out of gunicorn's hands. The body of the response has to end with an OSError then."""
        return socket.socket(fileno=self._socket.detach())


class Worker(worker.Worker):
    """Gives the application its connection, and leaves alone one that the application has taken."""

    def load_wsgi(self) -> None:
        super().load_wsgi()
        # What comes by TLS cannot be written without gunicorn's own wrapper.
        if not self.cfg.is_ssl:
            self.wsgi: Application = with_connection(self.wsgi)

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """After each request, in the worker's main thread."""
        if conn.sock.fileno() == -1:
            # gunicorn's own would count the connection off twice, because it cannot be closed once more.
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)


def with_connection(application: Application) -> Application:
    """The application with its connection in the environment of each request of HTTP/1."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = getattr(start_response, "__self__", None)
        # A stream of HTTP/2 is a subclass, and shares its connection with others.
        if type(response) is Response:
            environ[CONNECTION] = Connection(environ["gunicorn.socket"], response)
        return application(environ, start_response)

    return call
