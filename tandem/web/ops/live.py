"""Tells open pages, through the event streams, that it is time to look again: once a second, by the monitor.

tandem:ops   channel: something is published on it every second, if there is an OPS_TOKEN
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import redis

from tandem.broker.connection import clock, connect
from tandem.config import settings
from tandem.operate.ticker import CHANNEL
from tandem.sse import Event, Topic


def _read(ids: Sequence[str]) -> Sequence[Event | None]:
    """Return the time as the version of each record. Raises redis.RedisError."""
    event = tick(clock(_client()))
    return [event for _ in ids]


@cache
def _client() -> redis.Redis:
    return connect(settings.current())


def tick(now: float) -> Event:
    """Return the event of this second."""
    return Event(version=int(now), name="tick", data="{}", last=False)


TOPIC = Topic(channel=lambda _id: CHANNEL, read=_read)
