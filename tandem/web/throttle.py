"""Throttles clients that guess tokens: after too many wrong ones, a client's tokens are refused for a while.

One address can be many clients: a proxy that PROXIES does not count, or a network's gateway. A client that has used its
token before is not locked out, so that an attacker with the same address cannot lock it out.

tandem:rate:LIMITER/…            counts of a client's wrong tokens in this minute and in the one before
tandem:rate:known:CLIENT:TOKEN   a client that has used a token (by its name), for an hour after its last use
"""

from __future__ import annotations

import logging
from time import monotonic, time

import redis
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from tandem.broker.connection import connect
from tandem.config.settings import Settings
from tandem.operate import auth_failures

logger = logging.getLogger(__name__)

#: Wrong tokens of one client in a minute.
MAX_WRONG = 20
RETRY_AFTER_SECONDS = 60
KNOWN_SECONDS = 3600
# How long a process caches that a client is known, and for how many clients.
_REMEMBERED_SECONDS = 600
_MAX_REMEMBERED = 10_000


class GuessThrottle:
    """Counts the wrong tokens of each client over all web processes. While Redis is unavailable nothing is counted."""

    def __init__(self, settings: Settings) -> None:
        self._redis = connect(settings)
        storage = RedisStorage("redis://", connection_pool=self._redis.connection_pool, key_prefix="tandem:rate")
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._limit = RateLimitItemPerMinute(MAX_WRONG, namespace="wrong-token")
        self._known: dict[tuple[str, str], float] = {}

    def note_wrong(self, client: str) -> bool:
        """Count a wrong token; return whether it is one too many."""
        try:
            auth_failures.count(self._redis, time())
            return not self._limiter.hit(self._limit, client)
        except redis.RedisError as error:
            logger.debug("a wrong token is not counted: %s", error)
            return False

    def is_locked_out(self, client: str, token_name: str) -> bool:
        """Return whether a client's right token is refused: it has guessed, and has not used this token before."""
        known = (client, token_name)
        if self._known.get(known, 0.0) > monotonic():
            return False
        try:
            locked = not self._limiter.test(self._limit, client) and not self._redis.exists(_key(known))
            if not locked:
                self._remember(known)
        except redis.RedisError as error:
            logger.debug("reading the count of wrong tokens failed: %s", error)
            return False
        return locked

    def _remember(self, known: tuple[str, str]) -> None:
        self._redis.set(_key(known), 1, ex=KNOWN_SECONDS)
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[known] = monotonic() + _REMEMBERED_SECONDS


def _key(known: tuple[str, str]) -> str:
    return "tandem:rate:known:" + ":".join(known)
