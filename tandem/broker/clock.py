"""The clock of Redis, which all containers share: times that hosts compare use it, not the clock of a host."""

from __future__ import annotations

import time
from contextlib import suppress

import redis

# The clocks of unsynchronized machines drift apart by at most a few seconds in a day.
OFFSET_TTL_SECONDS = 30.0
# While Redis is unavailable, each query waits for a timeout. The last known offset is used meanwhile.
RETRY_SECONDS = 5.0


class Clock:
    """Reads the time of Redis without a query each time. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._offset = 0
        self._query_again_at = 0.0

    def query(self) -> int:
        """Query Redis for the time, in milliseconds since 1970. Raises redis.RedisError."""
        began = time.time()
        seconds, microseconds = self._redis.time()
        now = int(seconds) * 1000 + int(microseconds) // 1000
        # Redis read its clock at some moment between the query and the answer.
        self._offset = now - round((began + time.time()) / 2 * 1000)
        self._query_again_at = time.monotonic() + OFFSET_TTL_SECONDS
        return now

    def now(self) -> int:
        """Return milliseconds since 1970 by the last known offset of Redis; until then, by this host's clock."""
        return int(time.time() * 1000) + self.offset()

    def offset(self) -> int:
        """Return by how many ms the clock of Redis is ahead of this host's; query it if the last query is old."""
        if time.monotonic() >= self._query_again_at:
            self._query_again_at = time.monotonic() + RETRY_SECONDS
            with suppress(redis.RedisError):
                self.query()
        return self._offset
