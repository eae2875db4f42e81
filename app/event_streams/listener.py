"""Which channels of Redis have news."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from typing import Any

import redis


class Listener:
    """One connection that follows any number of channels.

    Every method can raise redis.RedisError; after that `close` it, and the next `follow` begins anew.
    """

    def __init__(self, connect: Callable[[], redis.Redis]) -> None:
        self._connect = connect
        # redis-py has types for a part of both only.
        self._client: Any = None
        self._pubsub: Any = None
        self._followed: set[str] = set()
        self._asked = False

    def follow(self, channels: Collection[str]) -> None:
        """Follows these and no others, with no connection when there are none."""
        wanted = set(channels)
        if not wanted:
            return self.close()
        if self._pubsub is None:
            self._client = self._client or self._connect()
            self._pubsub = self._client.pubsub()
        if new := wanted - self._followed:
            self._pubsub.subscribe(*new)
        if old := self._followed - wanted:
            self._pubsub.unsubscribe(*old)
        self._followed = wanted
        return None

    def heard(self) -> set[str]:
        """The channels with news since the last call. The first news of each is that it is followed by now."""
        channels: set[str] = set()
        while self._pubsub and (message := self._pubsub.get_message(timeout=0)):
            self._asked = False
            if message["type"] in ("message", "subscribe"):
                channels.add(message["channel"])
        return channels

    def check(self) -> None:
        """Asks for a sign of life, and raises when the last call's has not come: else silence says nothing."""
        if self._pubsub is None:
            return
        if self._asked:
            raise redis.ConnectionError("the connection for changes has gone silent")
        self._pubsub.ping()
        self._asked = True

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._pubsub is not None

    @property
    def connection(self) -> socket.socket | None:
        """What to wait on: redis-py has no public name for it. None without a connection or with a Redis in here."""
        connection = self._pubsub.connection if self._pubsub else None
        found = getattr(connection, "_sock", None)
        return found if isinstance(found, socket.socket) else None

    def close(self) -> None:
        """Lets the connection go."""
        if self._pubsub is not None:
            self._pubsub.close()
        self._pubsub = None
        self._followed = set()
        self._asked = False
