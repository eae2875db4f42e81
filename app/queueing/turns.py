"""Workers of one host leave one after the other: while one is replaced, the others go on."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import redis

logger = logging.getLogger(__name__)

# A worker whose limit is reached waits at most this long for the others (seconds).
LONGEST_WAIT = 30.0

# Longer than a few beats and a start (seconds).
LEASE_SECONDS = 15

# KEYS: the turn. ARGV: worker, seconds
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
_GIVE_UP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Turn:
    """The right to leave, held from the moment when a worker stops taking messages until its successor takes some.

    `worker` is host:process; a successor has the same name. It is a lease that the holder renews while it drains, so
    one that never gets a successor does not keep the others.
    """

    def __init__(self, client: redis.Redis, worker: str) -> None:
        self._redis = client
        self._worker = worker
        self._key = f"tandem:leaving:{worker.rsplit(':', 1)[0]}"
        self._asked_at: float | None = None
        self._give_up = client.register_script(_GIVE_UP)
        self._renew = client.register_script(_RENEW)

    def take(self) -> bool:
        """Asks for the turn; it is had when it is free or was waited for long enough."""
        now = time.monotonic()
        self._asked_at = self._asked_at or now
        try:
            if self._redis.set(self._key, self._worker, nx=True, ex=LEASE_SECONDS):
                return True
        except redis.RedisError as error:
            logger.debug("nobody can be asked for the turn: %s", error)
        return now - self._asked_at > LONGEST_WAIT

    def renew(self) -> None:
        """Keeps the turn, if this worker has it. Raises redis.RedisError."""
        self._renew(keys=[self._key], args=[self._worker, LEASE_SECONDS])

    def pass_on(self) -> None:
        """The successor is at work: the next one may leave."""
        with suppress(redis.RedisError):  # then it runs out by itself
            self._give_up(keys=[self._key], args=[self._worker])
