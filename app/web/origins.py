"""Web pages of others get no hold of the API through the browser of somebody who can reach it.

A page elsewhere can send forms to any address that its reader's browser reaches, localhost included (cross-site request
forgery), and can give its own name that address (DNS rebinding). The first is told by what browsers say of each
request, in the order of https://words.filippo.io/csrf/; the second by a Host that nobody has named.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, request

from app.settings import ANY_HOST, Settings
from app.web.guard import wants_anybody
from app.web.problems import problem

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Nobody can have these registered (RFC 6761, 6762, 8375; .internal by ICANN).
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".test", ".home.arpa")


def register(app: Flask, settings: Settings) -> None:
    """Refuses such requests with 403.

    Behind a proxy, which knows its names, and with a token, which another page does not have, any Host will do.
    """
    any_host = bool(settings.api_token or settings.proxies or ANY_HOST in settings.allowed_hosts)

    @app.before_request
    def refuse() -> Response | None:
        if request.method not in SAFE_METHODS and _is_of_another_page():
            return _refusal("a web page elsewhere must not change anything here: this page's own and programs may")
        if not any_host and not wants_anybody() and not _is_own_name(_name_of(request.host), settings.allowed_hosts):
            return _refusal("this Host is not known here: use the address, or name it in ALLOWED_HOSTS")
        return None


def _refusal(sentence: str) -> Response:
    return problem(403, "Forbidden", sentence)


def _is_of_another_page() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and _authority(origin) != request.host.lower()


def _authority(origin: str) -> str:
    """Host and port of an origin as a Host header has them; nothing for one that is none, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_own_name(name: str, allowed: tuple[str, ...]) -> bool:
    # A name without a dot is of this machine or of its network; no page comes from there.
    if name in allowed or "." not in name.strip("."):
        return True
    return name.endswith(_PRIVATE_SUFFIXES) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
