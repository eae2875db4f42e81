"""RATE_LIMIT: how often one client may change something.

tandem:rate:LIMITER/…   counts of a client's requests in this minute and in the one before, gone after two minutes
"""

from __future__ import annotations

import ipaddress
import logging
from math import ceil
from time import time

import redis
from flask import Flask, Response, request
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from app.queueing.connection import connect
from app.settings import Settings
from app.web.origins import SAFE_METHODS
from app.web.problems import problem

logger = logging.getLogger(__name__)

LONGEST_WAIT = 60
# What one household or machine has: an address of IPv6 is one of as many as it likes.
_IPV6_NETWORK = 64


def register(app: Flask, settings: Settings) -> None:
    """Refuses with 429 what comes too often. While Redis is away nothing is counted, and the route says so itself."""
    if not settings.rate_limit:
        return
    limit = RateLimitItemPerMinute(settings.rate_limit)
    # Our own client's pool, so that its timeouts and its Sentinels hold here as well.
    storage = RedisStorage("redis://", connection_pool=connect(settings).connection_pool, key_prefix="tandem:rate")
    limiter = SlidingWindowCounterRateLimiter(storage)

    @app.before_request
    def refuse() -> Response | None:
        if request.method in SAFE_METHODS:
            return None
        client = client_name(request.remote_addr or "")
        try:
            if limiter.hit(limit, client):
                return None
            reset = limiter.get_window_stats(limit, client).reset_time
        except redis.RedisError as error:
            logger.debug("requests are not counted: %s", error)
            return None
        return _refusal(settings.rate_limit, reset - time())


def client_name(address: str) -> str:
    """The client of an address: itself, or its network of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
    return str(parsed)


def _refusal(limit: int, seconds: float) -> Response:
    wait = min(max(ceil(seconds), 1), LONGEST_WAIT)
    sentence = f"at most {limit:,} changes a minute are allowed: try again in {wait} s"
    refused = problem(429, "Too Many Requests", sentence)
    refused.headers["Retry-After"] = str(wait)
    return refused
