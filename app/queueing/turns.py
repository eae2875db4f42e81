"""Workers of one host leave one after the other: while one is replaced, the others go on."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import redis

logger = logging.getLogger(__name__)

# A worker whose limit is reached waits at most this long for the others (seconds).
LONGEST_WAIT = 30.0

# KEYS: the turn. ARGV: worker
_GIVE_UP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Turn:
    """The right to leave, held from the moment when a worker stops taking messages until its successor takes some.

    `worker` is host:process; a successor has the same name. `seconds` bounds how long it is held by one that never
    gets a successor.
    """

    def __init__(self, client: redis.Redis, worker: str, *, seconds: int) -> None:
        self._redis = client
        self._worker = worker
        self._key = f"tandem:leaving:{worker.rsplit(':', 1)[0]}"
        self._seconds = seconds
        self._asked_at: float | None = None
        self._give_up = client.register_script(_GIVE_UP)

    def take(self) -> bool:
        """Asks for the turn; it is had when it is free or was waited for long enough."""
        now = time.monotonic()
        self._asked_at = self._asked_at or now
        try:
            if self._redis.set(self._key, self._worker, nx=True, ex=self._seconds):
                return True
        except redis.RedisError as error:
            logger.debug("nobody can be asked for the turn: %s", error)
        return now - self._asked_at > LONGEST_WAIT

    def pass_on(self) -> None:
        """The successor is at work: the next one may leave."""
        with suppress(redis.RedisError):  # then it runs out by itself
            self._give_up(keys=[self._key], args=[self._worker])
