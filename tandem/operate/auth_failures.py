"""Count requests with a wrong token in Redis, for the alert.

tandem:denials:<minute>   string: how many there were in this minute; it expires after KEPT_SECONDS
"""

from __future__ import annotations

import redis

MINUTES = 10
KEPT_SECONDS = (MINUTES + 2) * 60


def count(client: redis.Redis, now: float) -> None:
    """Count one more. now: seconds since 1970. Raises redis.RedisError."""
    with client.pipeline(transaction=False) as pipeline:
        pipeline.incr(_key(int(now) // 60))
        pipeline.expire(_key(int(now) // 60), KEPT_SECONDS)
        pipeline.execute()


def recent(client: redis.Redis, now: float) -> int:
    """Return how many there were in the last MINUTES minutes and the current one. Raises redis.RedisError."""
    minute = int(now) // 60
    counts = client.mget([_key(minute - ago) for ago in range(MINUTES + 1)])
    return sum(int(found) for found in counts if found)


def _key(minute: int) -> str:
    return f"tandem:denials:{minute}"
