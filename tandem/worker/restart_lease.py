"""A lease that lets one worker per host restart at a time, while the others keep running."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import redis

logger = logging.getLogger(__name__)

# A worker whose limit is reached waits at most this long for the others (seconds).
MAX_WAIT_SECONDS = 30.0

# Longer than a few heartbeats and a start (seconds).
LEASE_SECONDS = 15

# KEYS: the lease. ARGV: worker, seconds
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RestartLease:
    """A lease held from the moment when a worker stops claiming messages until its successor claims some.

    `worker` is host:process; a successor has the same name. The holder renews it only while it drains, so a worker
    without a successor does not block the others.
    """

    def __init__(self, client: redis.Redis, worker: str) -> None:
        self._redis = client
        self._worker = worker
        self._key = f"tandem:leaving:{worker.rsplit(':', 1)[0]}"
        self._asked_at: float | None = None
        self._release = client.register_script(_RELEASE)
        self._renew = client.register_script(_RENEW)

    def acquire(self) -> bool:
        """Return whether this worker may restart now: the lease was free, or it has waited for it long enough."""
        now = time.monotonic()
        self._asked_at = self._asked_at or now
        try:
            if self._redis.set(self._key, self._worker, nx=True, ex=LEASE_SECONDS):
                return True
        except redis.RedisError as error:
            logger.debug("acquiring the restart lease failed: %s", error)
        return now - self._asked_at > MAX_WAIT_SECONDS

    def renew(self) -> None:
        """Renew the lease, if this worker holds it. Raises redis.RedisError."""
        self._renew(keys=[self._key], args=[self._worker, LEASE_SECONDS])

    def release(self) -> None:
        """Release the lease, if a worker of this name holds it: the next worker may restart."""
        with suppress(redis.RedisError):  # then it expires
            self._release(keys=[self._key], args=[self._worker])
