"""An in-process replacement for Redis on a developer's machine that has none, with QUEUE_TRANSPORT=sync."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import redis

from tandem.config.settings_base import SettingsError

if TYPE_CHECKING:
    from fakeredis import FakeServer


def connect(*, decode: bool) -> redis.Redis:
    """Return a client of a Redis that lives in this process. Raises SettingsError if fakeredis is not installed."""
    try:
        from fakeredis import FakeRedis
    except ImportError:
        line = (
            "QUEUE_TRANSPORT=sync needs a Redis or the package fakeredis: set REDIS_URL, or install "
            "requirements-dev.lock"
        )
        raise SettingsError([line]) from None
    return FakeRedis(server=_server(), decode_responses=decode)


@cache
def _server() -> FakeServer:
    from fakeredis import FakeServer

    return FakeServer()
