"""The client's address for gunicorn: a header that the proxy sets, replacing one that a client sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

# Where gunicorn listens, in a folder that only the container's user can access.
SOCKET = "/run/tandem/web.sock"
HEADER = "X-Tandem-Peer"
_VARIABLE = "HTTP_X_TANDEM_PEER"

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_peer(application: Application) -> Application:
    """Return the application with the address of the proxy's client as REMOTE_ADDR, for requests on the socket."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        peer = environ.pop(_VARIABLE, "")
        # A TCP connection has an address, and a client could have sent the header.
        environ["REMOTE_ADDR"] = environ.get("REMOTE_ADDR") or peer
        return application(environ, start_response)

    return call
