"""Decides which addresses and ports an untrusted URL may lead to."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
#: A host by its name or address, and a port.
Service = tuple[str, int]

ANY_PORT = (range(1, 65536),)

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Metadata services of clouds that are not link-local: Alibaba, AWS (instances, pods), Azure, Google, Oracle.
_METADATA = {
    ip_address(text)
    for text in (
        "100.100.100.200",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "168.63.129.16",
        "fd20:ce::254",
        "192.0.0.192",
    )
}
# Gateways between IPv4 and IPv6 would forward to an address that is not checked here: local NAT64 (RFC 8215), relays of
# 6to4, Teredo; and site-local addresses (RFC 3879), which some networks still route.
_TRANSITION = [ip_network(text) for text in ("64:ff9b:1::/48", "192.88.99.0/24", "2001::/32", "fec0::/10")]


@dataclass(frozen=True)
class Destinations:
    """Where a URL may lead.

    private: also into private networks. own: also to this host itself. ports: the allowed ones. services: never these,
    whatever else is allowed.
    """

    private: bool = False
    own: bool = False
    ports: tuple[range, ...] = ANY_PORT
    services: tuple[Service, ...] = ()

    def reason_against(self, address: Address, port: int) -> str:
        """Return why a request to the address and port is not allowed, or ""."""
        if not is_allowed(address, private=self.private, own=self.own):
            return f"it leads to {address}, which is not a public address"
        if (_end(address), port) in _resolved(self.services):
            return "it leads to a service that this server itself uses"
        return ""

    def allows_port(self, port: int) -> bool:
        """Return whether the port is allowed."""
        return any(port in ports for ports in self.ports)


def is_allowed(address: Address, *, private: bool = False, own: bool = False) -> bool:
    """Return whether an address is public or otherwise allowed: see Destinations."""
    if isinstance(address, IPv6Address) and (inner := _inner(address)):
        return is_allowed(inner, private=private, own=own)
    if address.is_unspecified or address.is_multicast or address.is_link_local or address in _METADATA:
        return False
    if address.is_loopback:  # in IPv6 also a reserved one
        return own
    if address.is_reserved or any(address in network for network in _TRANSITION):
        return False
    if _is_own(address):
        return own
    return private or (address.is_global and (address.version == 4 or address in _UNICAST))


def _end(address: Address) -> Address:
    """Return the address at which a packet for this one arrives."""
    inner = _inner(address) if isinstance(address, IPv6Address) else None
    return inner or address


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which a gateway or the system itself would forward packets for this one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_own(address: Address) -> bool:
    """Return whether it is an address of this host: only those can be bound to. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _resolved(services: Iterable[Service]) -> set[tuple[Address, int]]:
    """Return the services by all current addresses of their hosts; unknown hosts are left out."""
    found = set()
    for host, port in services:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            continue
        found |= {(_end(ip_address(str(entry[4][0]))), port) for entry in entries}
    return found
