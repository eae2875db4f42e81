"""supervisord's XML-RPC interface on its socket (https://supervisord.org/api.html)."""

from __future__ import annotations

import logging
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any, cast
from xmlrpc.client import Fault, ProtocolError, ServerProxy, Transport

logger = logging.getLogger(__name__)

TIMEOUT = 3.0
SOCKET = "/run/tandem/supervisor.sock"
# The socket is reachable for the container's user only; supervisord warns at every start without credentials.
CREDENTIALS = "tandem:tandem"


class SupervisorUnavailable(Exception):
    """supervisord does not answer."""


def processes() -> list[dict[str, Any]]:
    """Return all processes: `group`, `name`, `statename`, `description`, `pid` and more (getAllProcessInfo).

    Raises SupervisorUnavailable.
    """
    try:
        return cast("list[dict[str, Any]]", _proxy().supervisor.getAllProcessInfo())
    except Fault as error:
        raise SupervisorUnavailable(f"supervisord is starting or stopping: {error.faultString}") from error
    except (OSError, HTTPException, ProtocolError) as error:
        raise SupervisorUnavailable(f"supervisord does not answer on {SOCKET}: {error}") from error


def kill(name: str, pid: int) -> bool:
    """Send SIGKILL to the process `group:name` if it still has this process id; return whether it had.

    supervisor restarts it, because it did not stop the process itself. Raises SupervisorUnavailable.
    """
    try:
        if _proxy().supervisor.getProcessInfo(name)["pid"] != pid:
            return False
        _proxy().supervisor.signalProcess(name, "KILL")
    except Fault as error:
        logger.debug("supervisor did not kill %s: %s", name, error.faultString)
        return False
    except (OSError, HTTPException, ProtocolError) as error:
        raise SupervisorUnavailable(f"supervisord does not answer on {SOCKET}: {error}") from error
    return True


def send_signal(group: str, signal: str) -> None:
    """Send a signal such as HUP to the running processes of a group; a group that is not here gets none.

    Raises SupervisorUnavailable.
    """
    try:
        _proxy().supervisor.signalProcessGroup(group, signal)
    except Fault as error:
        logger.debug("supervisor did not signal %s: %s", group, error.faultString)
    except (OSError, HTTPException, ProtocolError) as error:
        raise SupervisorUnavailable(f"supervisord does not answer on {SOCKET}: {error}") from error


def _proxy() -> Any:
    return ServerProxy(f"http://{CREDENTIALS}@supervisor/RPC2", transport=_Transport())


class _Transport(Transport):
    """HTTP over the socket. supervisor's own transport has no timeout, and its imports cost the monitor 4 MB."""

    def make_connection(self, host: Any) -> HTTPConnection:
        chost, self._extra_headers, _ = self.get_host_info(host)
        return _Connection(chost, timeout=TIMEOUT)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(SOCKET)
