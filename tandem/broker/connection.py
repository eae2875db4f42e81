"""How every process connects to Redis: with timeouts, so that no call blocks forever when Redis is unavailable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tandem.broker import accounts
from tandem.config import sentinel
from tandem.config.environment import EMBEDDED_REDIS_URL

if TYPE_CHECKING:  # the monitor does not load the library that validates the settings
    from tandem.config.settings import Settings

CONNECT_TIMEOUT = 2.0
COMMAND_TIMEOUT = 5.0
#: The first words of the detail of a check that Redis made impossible: the check and the alert of Redis report it once.
NO_ANSWER = "Redis does not answer"


def connect(settings: Settings, *, decode: bool = False) -> redis.Redis:
    """Return a client of the queue's Redis with its own pool; see connect_to."""
    if settings.queue_transport == "sync" and not settings.has_redis:
        from tandem.broker import in_process

        return in_process.connect(decode=decode)
    return connect_to(settings.redis_dsn, decode=decode)


def connect_to(url: str, *, decode: bool = False) -> redis.Redis:
    """Return a client of the Redis at this URL, or of the master of its Sentinels; it connects at the first command.

    The client never resends a command: the first one may have been executed before the connection broke, and claiming a
    message is not idempotent. A broken pooled connection is detected before it is used.
    """
    options: dict[str, Any] = {
        "decode_responses": decode,
        # A name of arbitrary bytes that a client has stored goes back to Redis unchanged.
        "encoding_errors": "surrogateescape",
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": COMMAND_TIMEOUT,
        "retry": Retry(NoBackoff(), retries=0),
    }
    if url == EMBEDDED_REDIS_URL:
        options |= accounts.credentials()
    if sentinel.is_url(url):
        return sentinel.connect(url, **options)
    return redis.Redis.from_url(url, **options)


def name(value: bytes) -> str:
    """Return a name from Redis in a form that can be sent back, whatever its bytes are."""
    return value.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    """Return the bytes of such a name."""
    return name.encode("utf-8", "surrogateescape")


def text(value: bytes | str) -> str:
    """Return a name from Redis, whether its client decodes or not; bytes that are not UTF-8 are shown as `\\x…`."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def clock(client: redis.Redis) -> float:
    """Return the time of Redis in seconds since 1970, the clock all containers share. Raises redis.RedisError."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1_000_000
