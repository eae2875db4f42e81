"""Posts to untrusted URLs, protected against server-side request forgery (SSRF).

A name is resolved once, each of its addresses is checked, and the connection is made to one of these addresses only: a
second lookup could return another address (DNS rebinding). Redirects are not followed, the environment's proxies are
not used, and only the status of the response is read.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tandem.broker.errors import ExpectedError, PermanentError
from tandem.config.destinations import Address, Destinations
from tandem.support import tls

if TYPE_CHECKING:
    from http.client import HTTPConnection

MAX_URL = 2048
PUBLIC = Destinations()
# From the connection to the response's status. The lookup of the name comes before it, with the resolver's own timeout.
SECONDS = 15.0
#: The receiver is slow, busy or broken; any other refusal would be the same at the next attempt.
RETRYABLE = {408, 425, 429, *range(500, 600)}

_NAME = re.compile(r"(?=.{1,253}\.?\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class BadUrl(PermanentError):
    """A URL to which nothing is posted; the text gives the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a valid URL of a receiver: {reason}")


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str


def check(url: str, allowed: Destinations = PUBLIC) -> None:
    """Check the URL without a lookup: its form, its port, and its address if it contains one instead of a name.

    Raises BadUrl.
    """
    target = _parse(url, allowed)
    with suppress(socket.gaierror):  # a name
        _addresses(target, replace(allowed, services=()), flags=socket.AI_NUMERICHOST)


def post(url: str, body: bytes, headers: Mapping[str, str], allowed: Destinations = PUBLIC) -> None:
    """Post `body`; return when the receiver has accepted it. allowed: where the URL may lead.

    Raises BadUrl, ExpectedError (retry) and PermanentError (do not). No error contains the URL, which can be a secret.
    """
    target = _parse(url, allowed)
    deadline = time.monotonic() + SECONDS
    try:
        status = _post(target, body, headers, _addresses(target, allowed), deadline)
    except _no_answer() as error:
        raise ExpectedError(f"the receiver does not answer: {_reason(error)}") from error
    if status in RETRYABLE:
        raise ExpectedError(f"the receiver answered {status}")
    if not 200 <= status < 300:
        raise PermanentError(f"the receiver refused the request with {status}")


def _parse(url: str, allowed: Destinations) -> _Target:
    if len(url) > MAX_URL or not _VISIBLE.fullmatch(url):
        raise BadUrl(f"expected 1 to {MAX_URL:,} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl("its host or its port is malformed") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise BadUrl("expected http://HOST or https://HOST at its beginning")
    if "@" in parts.netloc:
        raise BadUrl("it must not contain a user or a password")
    if port == 0 or not (_NAME.fullmatch(host) or parts.netloc.startswith("[")):
        raise BadUrl("its host or its port is malformed")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = port or {"http": 80, "https": 443}[parts.scheme]
    if not allowed.allows_port(port):
        raise BadUrl(f"its port {port} is not allowed")
    return _Target(parts.scheme, host, port, path)


def _addresses(target: _Target, allowed: Destinations, flags: int = 0) -> list[Address]:
    """Return all addresses of the host, if each is allowed. Raises BadUrl and socket.gaierror."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, flags=flags)
    addresses = [ip_address(str(entry[4][0])) for entry in found]
    for address in addresses:
        if reason := allowed.reason_against(address, target.port):
            raise BadUrl(reason)
    return addresses


def _post(target: _Target, body: bytes, headers: Mapping[str, str], addresses: list[Address], deadline: float) -> int:
    with _connected(addresses, target.port, deadline) as plain, _cut_off(plain, deadline):
        connection = _connection(target, plain)
        try:
            connection.request("POST", target.path, body, {**headers, "Connection": "close"})
            status = connection.getresponse().status
        finally:
            connection.close()
    if time.monotonic() >= deadline:
        # Headers that were cut off look complete.
        raise TimeoutError
    return status


def _connected(addresses: list[Address], port: int, deadline: float) -> socket.socket:
    """Return a connection to the first address that accepts one: this host may lack IPv6 while the receiver has it."""
    failure: OSError = TimeoutError("timed out")
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((str(address), port), timeout=left)
        except OSError as error:
            failure = error
    raise failure


@contextmanager
def _cut_off(connected: socket.socket, deadline: float) -> Iterator[None]:
    """Shut the connection down at the deadline: a socket's own timeout limits each operation, not the whole."""
    # TLS takes over the socket; a second descriptor still reaches the connection.
    twin = connected.dup()

    def shut_down() -> None:
        with suppress(OSError):
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        twin.close()


def _connection(target: _Target, plain: socket.socket) -> HTTPConnection:
    from http.client import HTTPConnection, HTTPSConnection

    if target.scheme == "http":
        connection = HTTPConnection(target.host, target.port)
        connection.sock = plain
        return connection

    # The image has only certifi's authorities; where the system has some, they are trusted as well.
    context = tls.context()
    connection = HTTPSConnection(target.host, target.port, context=context)
    connection.sock = context.wrap_socket(plain, server_hostname=target.host)
    return connection


def _no_answer() -> tuple[type[Exception], ...]:
    from http.client import HTTPException  # not needed by the processes that only check

    return (OSError, HTTPException)


def _reason(error: Exception) -> str:
    """Return a short reason, without the receiver's text, which can be of any length."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
