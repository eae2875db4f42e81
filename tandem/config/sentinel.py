"""URLs of a Redis that Sentinels monitor: redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/SERVICE[/DB]

With rediss+sentinel:// the connections to both the Sentinels and Redis use TLS. User and password are those of Redis.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    import redis

DEFAULT_PORT = 26379
_URL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://"
    r"(?:(?P<user>[^:@/?#]*):(?P<password>[^@/?#]*)@)?"
    r"(?P<hosts>[A-Za-z0-9._-]+(?::[0-9]{1,5})?(?:,[A-Za-z0-9._-]+(?::[0-9]{1,5})?)*)"
    r"/(?P<service>[A-Za-z0-9._-]+)(?:/(?P<db>[0-9]{1,4}))?"
)


class Address(NamedTuple):
    """The parts of a URL."""

    tls: bool
    user: str
    password: str
    sentinels: list[tuple[str, int]]
    service: str
    db: int


def is_url(text: str) -> bool:
    """Return whether the URL has a scheme of Sentinels."""
    return text.startswith(("redis+sentinel://", "rediss+sentinel://"))


def parse(url: str) -> Address | None:
    """Return the parts of the URL, or None if it is invalid."""
    match = _URL.fullmatch(url)
    if not match:
        return None
    sentinels = []
    for host in match["hosts"].split(","):
        name, _, port = host.partition(":")
        sentinels.append((name, int(port or DEFAULT_PORT)))
    return Address(
        tls=match["scheme"] == "rediss",
        user=unquote(match["user"] or ""),
        password=unquote(match["password"] or ""),
        sentinels=sentinels,
        service=match["service"],
        db=int(match["db"] or 0),
    )


def connect(url: str, **options: Any) -> redis.Redis:
    """Return a client of the current master, looked up at each new connection. Raises ValueError for an invalid URL."""
    from redis.sentinel import Sentinel

    address = parse(url)
    if address is None:
        raise ValueError("invalid URL of Sentinels")
    shared = {name: value for name, value in options.items() if name != "decode_responses"} | {"ssl": address.tls}
    sentinels = Sentinel(address.sentinels, sentinel_kwargs=shared, **options, ssl=address.tls)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinels.master_for(  # type: ignore[no-untyped-call]
        address.service, db=address.db, username=address.user or None, password=address.password or None
    )
    return client
