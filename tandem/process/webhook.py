"""Posts alerts to ALERT_WEBHOOK_URL. Standard library only, because the posting processes run in every container."""

from __future__ import annotations

import base64
import json
import logging
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, unquote, urlsplit

from tandem.support import tls
from tandem.support.escapes import escaped

logger = logging.getLogger(__name__)

TIMEOUT = 5.0


def post(url: str, text: str, details: Mapping[str, object]) -> bool:
    """Post `text`, prefixed with this host's name, with details; return whether the receiver accepted it.

    Neither may contain secrets. The URL is a secret itself, and appears in no log and no error.
    """
    body = json.dumps({"text": f"{socket.gethostname()}: {escaped(text)}", **details})
    try:
        status = _post(urlsplit(url), body.encode())
    except (OSError, HTTPException, ValueError) as error:
        # Not the error's own text: it can name the URL.
        logger.warning("posting an alert failed: %s", type(error).__name__)
        return False
    if not 200 <= status < 300:
        logger.warning("posting an alert failed: the receiver answered %d", status)
        return False
    return True


def _post(url: SplitResult, body: bytes) -> int:
    connection = _connection(url)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body, {"Content-Type": "application/json", **_authorization(url)})
        return connection.getresponse().status
    finally:
        connection.close()


def _connection(url: SplitResult) -> HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "http":
        return HTTPConnection(host, url.port, timeout=TIMEOUT)
    return HTTPSConnection(host, url.port, timeout=TIMEOUT, context=tls.context())


def _authorization(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
