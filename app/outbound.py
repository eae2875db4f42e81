"""Posts to addresses that strangers have given, without being led to what only this host can reach.

A name is resolved once, each address that it has is looked at, and the connection is made to one of these and no
other: a second look-up could give another answer (DNS rebinding). Redirects are not followed, the environment's
proxies not used, and of the answer only the status is read.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.queueing.errors import ExpectedError, PermanentError

if TYPE_CHECKING:
    from http.client import HTTPConnection

LONGEST_URL = 2048
# From the connection to the answer's status. Looking the name up comes before it, and has the resolver's own bound.
SECONDS = 15.0
#: The receiver is slow, busy or broken; any other refusal would be the same the next time.
WORTH_A_RETRY = {408, 425, 429, *range(500, 600)}

Address = IPv4Address | IPv6Address

_NAME = re.compile(r"(?=.{1,253}\.?\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# What clouds tell their machines about themselves, where it is not link-local: Alibaba, AWS, Azure, Google, Oracle.
_METADATA = {
    ip_address(text) for text in ("100.100.100.200", "fd00:ec2::254", "168.63.129.16", "fd20:ce::254", "192.0.0.192")
}


class BadUrl(PermanentError):
    """A URL to which nothing is posted; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no URL of a receiver: {reason}")


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str


def check(url: str, *, private: bool = False) -> None:
    """Looks at the URL without asking anybody: its form, and its address if it has one in the place of a name.

    Raises BadUrl.
    """
    target = _parse(url)
    with suppress(socket.gaierror):  # a name
        _addresses(target, private=private, flags=socket.AI_NUMERICHOST)


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool = False) -> None:
    """Posts `body`; returns when the receiver took it. `private`: it may be in a private network or on this host.

    Raises BadUrl, ExpectedError (try again) and PermanentError (do not). No error tells the URL, which can be a secret.
    """
    target = _parse(url)
    deadline = time.monotonic() + SECONDS
    try:
        status = _post(target, body, headers, _addresses(target, private=private), deadline)
    except _no_answer() as error:
        raise ExpectedError(f"the receiver does not answer: {_reason(error)}") from error
    if status in WORTH_A_RETRY:
        raise ExpectedError(f"the receiver answers with {status}")
    if not 200 <= status < 300:
        raise PermanentError(f"the receiver refuses it with {status}")


def _parse(url: str) -> _Target:
    if len(url) > LONGEST_URL or not _VISIBLE.fullmatch(url):
        raise BadUrl(f"it has to be 1 to {LONGEST_URL:,} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl("its host or its port cannot be read") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise BadUrl("it has to begin with http://HOST or https://HOST")
    if "@" in parts.netloc:
        raise BadUrl("user and password are not allowed in it")
    if port == 0 or not (_NAME.fullmatch(host) or parts.netloc.startswith("[")):
        raise BadUrl("its host or its port cannot be read")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme], path)


def _addresses(target: _Target, *, private: bool, flags: int = 0) -> list[Address]:
    """All addresses of the host, each of which may be called. Raises BadUrl and socket.gaierror."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, flags=flags)
    addresses = [ip_address(str(entry[4][0])) for entry in found]
    for address in addresses:
        if not may_be_called(address, private=private):
            raise BadUrl(f"it leads to {address}, which is not a public address")
    return addresses


def may_be_called(address: Address, *, private: bool = False) -> bool:
    """Whether the address is a public one; with `private` also whether it is a host's in a private network or here."""
    if isinstance(address, IPv6Address) and (inner := _inner(address)):
        return may_be_called(inner, private=private)
    if address.is_multicast or address.is_link_local or address.is_unspecified or address in _METADATA:
        return False
    return private or (address.is_global and (address.version == 4 or address in _UNICAST))


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which a gateway or the system itself would send what is for this one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _post(target: _Target, body: bytes, headers: Mapping[str, str], addresses: list[Address], deadline: float) -> int:
    with _connected(addresses, target.port, deadline) as plain, _cut_off(plain, deadline):
        connection = _connection(target, plain)
        try:
            connection.request("POST", target.path, body, {**headers, "Connection": "close"})
            status = connection.getresponse().status
        finally:
            connection.close()
    if time.monotonic() >= deadline:
        # Headers that were cut off look like ones that have ended.
        raise TimeoutError
    return status


def _connected(addresses: list[Address], port: int, deadline: float) -> socket.socket:
    """A connection to the first address that takes one: a host without IPv6 may see others with it."""
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
    """Ends the connection at the deadline: a socket's own timeout bounds each silence, and not the whole."""
    # TLS takes the socket over; a second descriptor still reaches the connection.
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
    import ssl

    import certifi

    # The image has no authorities but those of this package; one that has takes its own as well.
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    connection = HTTPSConnection(target.host, target.port, context=context)
    connection.sock = context.wrap_socket(plain, server_hostname=target.host)
    return connection


def _no_answer() -> tuple[type[Exception], ...]:
    from http.client import HTTPException  # not needed by the processes that only check

    return (OSError, HTTPException)


def _reason(error: Exception) -> str:
    """Without what the receiver has said, which can be of any length."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
