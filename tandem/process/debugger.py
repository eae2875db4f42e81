"""Lets an editor attach to a process (DEBUG_PORT): debugpy speaks the Debug Adapter Protocol.

See https://microsoft.github.io/debug-adapter-protocol. For development only: whoever reaches the port runs code.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from importlib.util import find_spec

logger = logging.getLogger(__name__)

# The process that this one replaces may have the port for so long (seconds).
WAIT_SECONDS = 15.0
RETRY_INTERVAL = 0.1


def is_installed() -> bool:
    """Return whether this image has the package debugpy, which only one for development has."""
    return find_spec("debugpy") is not None


def listen(port: int) -> None:
    """Wait for editors at this port of the container, in the background; the process does not wait for them."""
    threading.Thread(target=_listen, args=(port,), name="debugger", daemon=True).start()


def _listen(port: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    # debugpy tries only once, and cannot be asked again after a failure.
    while not _is_free(port):
        if time.monotonic() > deadline:
            logger.warning("no editor can attach to this process: port %d is in use", port)
            return
        time.sleep(RETRY_INTERVAL)
    import debugpy

    # The port is published on loopback of the host, so it has to be open to all inside.
    debugpy.listen(("0.0.0.0", port))  # noqa: S104
    logger.info("an editor can attach at port %d", port)


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("0.0.0.0", port))  # noqa: S104
        except OSError:
            return False
    return True
