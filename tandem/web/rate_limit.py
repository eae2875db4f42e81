"""RATE_LIMIT: how often one client may change data. A client is a named token, or otherwise an address.

tandem:rate:LIMITER/…   counts of a client's requests in this minute and in the one before; expire after two minutes
"""

from __future__ import annotations

import ipaddress
import logging
import re
from math import ceil
from time import time

import redis
from flask import Flask, Response, request
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from tandem.broker.connection import connect
from tandem.config.settings import Settings
from tandem.openapi.caller import caller
from tandem.web.methods import SAFE_METHODS
from tandem.web.problems import problem

logger = logging.getLogger(__name__)

MAX_WAIT = 60
# The network of one household or machine, which can use any address in it. Providers assign 56 bits or more.
_IPV6_NETWORK = 56
# Some gateways append the port: 192.0.2.7:51234, [2001:db8::1]:51234.
_WITH_PORT = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\])(?::[0-9]{1,5})?")


def register(app: Flask, settings: Settings) -> None:
    """Refuse requests over the limit with 429. While Redis is unavailable nothing is counted, and the route fails."""
    if not settings.rate_limit:
        return
    limit = RateLimitItemPerMinute(settings.rate_limit)
    # The platform's connection pool, so that its timeouts and its Sentinels apply here as well.
    storage = RedisStorage("redis://", connection_pool=connect(settings).connection_pool, key_prefix="tandem:rate")
    limiter = SlidingWindowCounterRateLimiter(storage)

    @app.before_request
    def refuse() -> Response | None:
        if request.method in SAFE_METHODS:
            return None
        client = caller() or client_name(request.remote_addr or "")
        try:
            if limiter.hit(limit, client):
                return None
            reset = limiter.get_window_stats(limit, client).reset_time
        except redis.RedisError as error:
            logger.debug("requests are not counted: %s", error)
            return None
        return _refusal(settings.rate_limit, reset - time())


def client_name(address: str) -> str:
    """Return the client of an address from a socket or X-Forwarded-For: without its port, or its IPv6 network."""
    match = _WITH_PORT.fullmatch(address.strip())
    try:
        parsed = ipaddress.ip_address((match[1] or match[2]) if match else address.strip())
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
    return str(parsed)


def _refusal(limit: int, seconds: float) -> Response:
    wait = min(max(ceil(seconds), 1), MAX_WAIT)
    sentence = f"too many changes (more than {limit:,} a minute): try again in {wait} s"
    refused = problem(429, "Too Many Requests", sentence)
    refused.headers["Retry-After"] = str(wait)
    return refused
