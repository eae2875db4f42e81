"""How every process reaches Redis: with timeouts, so that nothing waits for ever on one that went away."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.settings import EMBEDDED_REDIS_URL, Settings, SettingsError

if TYPE_CHECKING:
    from fakeredis import FakeServer

CONNECT_TIMEOUT = 2.0
COMMAND_TIMEOUT = 5.0


def connect(settings: Settings, *, decode: bool = False) -> redis.Redis:
    """A client of the queue's Redis with its own pool; it connects at the first command.

    No command is sent a second time by itself: the first one may have been carried out before the connection broke,
    and taking a message twice is not the same as once. A pooled connection that died is noticed before it is used.
    """
    if settings.queue_transport == "sync" and not _has_redis(settings):
        return _in_process(decode)
    return redis.Redis.from_url(
        settings.redis_dsn,
        decode_responses=decode,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=COMMAND_TIMEOUT,
        retry=Retry(NoBackoff(), retries=0),
    )


def text(answer: bytes | str) -> str:
    """A name out of Redis, whether its client decodes or not; bytes that are no UTF-8 stay visible as `\\x…`."""
    return answer if isinstance(answer, str) else answer.decode(errors="backslashreplace")


def clock(client: redis.Redis) -> float:
    """Redis's own time in seconds since 1970: the one clock that all containers share."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


def _has_redis(settings: Settings) -> bool:
    return settings.redis_url is not None or Path(EMBEDDED_REDIS_URL.removeprefix("unix://")).exists()


def _in_process(decode: bool) -> redis.Redis:
    """What takes the place of Redis on a developer's machine that has none: as long-lived as the process."""
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
