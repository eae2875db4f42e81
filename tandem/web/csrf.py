"""Protects the API against web pages of other sites in the browser of a user who can reach it.

A foreign page can send forms to any address that its visitor's browser reaches, localhost included (cross-site request
forgery), and can resolve its own name to that address (DNS rebinding). The first is detected by the headers that
browsers send with each request, in the order of https://words.filippo.io/csrf/; the second by an unknown Host.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, request

from tandem.config.settings import ANY_HOST, Settings
from tandem.web.auth import is_public_request
from tandem.web.methods import SAFE_METHODS
from tandem.web.problems import problem

# These cannot be registered (RFC 6761, 6762, 8375; .internal by ICANN).
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".test", ".home.arpa")


def register(app: Flask, settings: Settings) -> None:
    """Refuse such requests with 403.

    After a proxy, which knows its names, and with a token, which a foreign page does not have, any Host is accepted.
    """
    any_host = bool(settings.asks_for_token or settings.proxies or ANY_HOST in settings.allowed_hosts)

    @app.before_request
    def refuse() -> Response | None:
        if request.method not in SAFE_METHODS and _is_cross_site():
            return _refusal(
                "cross-site request refused: only same-origin pages and non-browser clients may change data"
            )
        if (
            not any_host
            and not is_public_request()
            and not _is_own_name(_name_of(request.host), settings.allowed_hosts)
        ):
            return _refusal("unknown Host: use the address, or add the name to ALLOWED_HOSTS")
        return None


def _refusal(sentence: str) -> Response:
    return problem(403, "Forbidden", sentence)


def _is_cross_site() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and _authority(origin) != request.host.lower()


def _authority(origin: str) -> str:
    """Return host and port of an origin as in a Host header; '' for an invalid one, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_of(host: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_own_name(name: str, allowed: tuple[str, ...]) -> bool:
    # A name without a dot belongs to this machine or its network; foreign pages have none.
    if name in allowed or "." not in name.strip("."):
        return True
    return name.endswith(_PRIVATE_SUFFIXES) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
