"""How every process reaches Redis: with timeouts, so that nothing waits for ever on one that went away."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.settings import Settings

CONNECT_TIMEOUT = 2.0
COMMAND_TIMEOUT = 5.0


def connect(settings: Settings, *, decode: bool = False) -> redis.Redis:
    """A client of the queue's Redis with its own pool; it connects at the first command.

    No command is sent a second time by itself: the first one may have been carried out before the connection broke,
    and taking a message twice is not the same as once. A pooled connection that died is noticed before it is used.
    """
    return redis.Redis.from_url(
        settings.redis_dsn,
        decode_responses=decode,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=COMMAND_TIMEOUT,
        retry=Retry(NoBackoff(), retries=0),
    )
