"""gunicorn's threaded worker, extended so that it can release a connection in the middle of a response."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from gunicorn.http.wsgi import Response
from gunicorn.workers.gthread import TConn

from tandem.sse.responses import CONNECTION
from tandem.web import gunicorn_worker
from tandem.web.peer import Application, with_peer


class Connection:
    """The connection of one request, for an application that takes it over."""

    def __init__(self, connection: socket.socket, response: Response) -> None:
        self._socket = connection
        self._response = response

    def close_after(self) -> None:
        """Make the response announce that the connection ends with it."""
        self._response.force_close()

    @property
    def chunked(self) -> bool:
        """Whether the response's body is chunked; known once its head is sent."""
        return bool(self._response.chunked)

    def release(self) -> socket.socket:
        """Return the socket and detach it from gunicorn. The response's body then has to end with an OSError."""
        return socket.socket(fileno=self._socket.detach())


class Worker(gunicorn_worker.Worker):
    """Provides the application with its connection, and ignores a connection that the application has taken over."""

    def load_wsgi(self) -> None:
        super().load_wsgi()
        # A TLS connection cannot be written to without gunicorn's own wrapper.
        if not self.cfg.is_ssl:
            self.wsgi: Application = with_connection(with_peer(self.wsgi))

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Finish a request, in the worker's main thread."""
        if conn.sock.fileno() == -1:
            # gunicorn's own method would decrement the count twice, because closing the socket again fails.
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)


def with_connection(application: Application) -> Application:
    """Return the application with its connection in the environment of each HTTP/1 request."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = getattr(start_response, "__self__", None)
        # An HTTP/2 stream is a subclass, and shares its connection with others.
        if type(response) is Response:
            environ[CONNECTION] = Connection(environ["gunicorn.socket"], response)
        return application(environ, start_response)

    return call
