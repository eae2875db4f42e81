"""How every process reaches Redis: with timeouts, so that nothing waits for ever on one that went away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import sentinel

if TYPE_CHECKING:  # the monitor lives without the library that checks the settings
    from app.settings import Settings

CONNECT_TIMEOUT = 2.0
COMMAND_TIMEOUT = 5.0


def connect(settings: Settings, *, decode: bool = False) -> redis.Redis:
    """A client of the queue's Redis with its own pool; see connect_to."""
    if settings.queue_transport == "sync" and not settings.has_redis:
        from app.queueing import in_process

        return in_process.connect(decode=decode)
    return connect_to(settings.redis_dsn, decode=decode)


def connect_to(url: str, *, decode: bool = False) -> redis.Redis:
    """A client of the Redis at this URL, or of the one that its Sentinels name; it connects at the first command.

    No command is sent a second time by itself: the first one may have been carried out before the connection broke,
    and taking a message twice is not the same as once. A pooled connection that died is noticed before it is used.
    """
    options: dict[str, Any] = {
        "decode_responses": decode,
        # Whatever bytes somebody has put into Redis as a name go back to it as they were.
        "encoding_errors": "surrogateescape",
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": COMMAND_TIMEOUT,
        "retry": Retry(NoBackoff(), retries=0),
    }
    if sentinel.is_url(url):
        return sentinel.connect(url, **options)
    return redis.Redis.from_url(url, **options)


def name(value: bytes) -> str:
    """A name out of Redis in the form in which it can be sent back, whatever its bytes are."""
    return value.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    """The bytes of such a name."""
    return name.encode("utf-8", "surrogateescape")


def text(value: bytes | str) -> str:
    """A name out of Redis, whether its client decodes or not; bytes that are no UTF-8 stay visible as `\\x…`."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def clock(client: redis.Redis) -> float:
    """The time of Redis in seconds since 1970: the one clock that all containers share. Raises redis.RedisError."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1_000_000
