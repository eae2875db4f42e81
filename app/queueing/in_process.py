"""What takes the place of Redis on a developer's machine that has none, with QUEUE_TRANSPORT=sync."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import redis

from app.settings import SettingsError

if TYPE_CHECKING:
    from fakeredis import FakeServer


def connect(*, decode: bool) -> redis.Redis:
    """A client of a Redis that lives and ends with this process. Raises SettingsError where the package is missing."""
    try:
        from fakeredis import FakeRedis
    except ImportError:
        line = "QUEUE_TRANSPORT=sync cannot be used here: set REDIS_URL, or install requirements-dev.lock (fakeredis)"
        raise SettingsError([line]) from None
    return FakeRedis(server=_server(), decode_responses=decode)


@cache
def _server() -> FakeServer:
    from fakeredis import FakeServer

    return FakeServer()
