"""``python3 -m model.healthcheck`` ends with 0 when the server on this machine answers, else with 1."""

import os
import sys
from http.client import HTTPConnection, HTTPException


def healthy(port: int) -> bool:
    """Return whether ``/api/version`` on loopback answers 200 within three seconds."""
    # http.client and not urllib, which would ask a proxy from the environment.
    connection = HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/api/version")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if healthy(int(os.environ.get("MODEL_PORT") or "11434")) else 1)
