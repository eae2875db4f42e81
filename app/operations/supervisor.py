"""supervisord's XML-RPC interface on its socket (https://supervisord.org/api.html)."""

from __future__ import annotations

from typing import Any, cast
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

SOCKET = "/run/tandem/supervisor.sock"
# The socket is reachable for the container's user only; supervisord warns at every start without credentials.
CREDENTIALS = ("tandem", "tandem")


class SupervisorAway(Exception):
    """supervisord does not answer."""


def processes() -> list[dict[str, Any]]:
    """All processes: `group`, `name`, `statename`, `description`, `pid` and more, as getAllProcessInfo gives them.

    Raises SupervisorAway.
    """
    proxy = ServerProxy("http://supervisor", transport=SupervisorTransport(*CREDENTIALS, f"unix://{SOCKET}"))
    try:
        return cast("list[dict[str, Any]]", proxy.supervisor.getAllProcessInfo())
    except (OSError, ConnectionError) as error:
        raise SupervisorAway(f"supervisord does not answer on {SOCKET}: {error}") from error
