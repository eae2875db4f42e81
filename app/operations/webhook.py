"""One POST to ALERT_WEBHOOK_URL. By the standard library: whoever posts lives in every container."""

from __future__ import annotations

import base64
import json
import logging
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, unquote, urlsplit

import certifi

logger = logging.getLogger(__name__)

TIMEOUT = 5.0


def post(url: str, text: str, details: Mapping[str, object]) -> bool:
    """Posts `text`, which gets this host's name in front, with details; tells whether the receiver took it.

    All of them have to be free of secrets. The URL is one itself, and appears in no log and no error.
    """
    body = json.dumps({"text": f"{socket.gethostname()}: {text}", **details})
    try:
        status = _post(urlsplit(url), body.encode())
    except (OSError, HTTPException, ValueError) as error:
        # Not the error's own text: it can name the URL.
        logger.warning("the alert receiver did not take it: %s", type(error).__name__)
        return False
    if not 200 <= status < 300:
        logger.warning("the alert receiver did not take it: it answered %d", status)
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
    # The image has no authorities but those of this package; one that has takes its own as well.
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return HTTPSConnection(host, url.port, timeout=TIMEOUT, context=context)


def _authorization(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
