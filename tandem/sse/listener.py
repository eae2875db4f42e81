"""Receives the changes that are published on channels of Redis."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from typing import Any

import redis


class Listener:
    """One connection that is subscribed to any number of channels.

    Every method can raise redis.RedisError; after that `close` it, and the next `subscribe` reconnects.
    """

    def __init__(self, connect: Callable[[], redis.Redis]) -> None:
        self._connect = connect
        # redis-py has types for only a part of both.
        self._client: Any = None
        self._pubsub: Any = None
        self._channels: set[str] = set()
        self._pinged = False

    def subscribe(self, channels: Collection[str]) -> None:
        """Subscribe to exactly these channels, without a connection if there are none."""
        wanted = set(channels)
        if not wanted:
            return self.close()
        if self._pubsub is None:
            self._client = self._client or self._connect()
            self._pubsub = self._client.pubsub()
        if new := wanted - self._channels:
            self._pubsub.subscribe(*new)
        if old := self._channels - wanted:
            self._pubsub.unsubscribe(*old)
        self._channels = wanted
        return None

    def changed(self) -> set[str]:
        """Return the channels with messages since the last call; the first one of each confirms the subscription."""
        channels: set[str] = set()
        while self._pubsub and (message := self._pubsub.get_message(timeout=0)):
            self._pinged = False
            if message["type"] in ("message", "subscribe"):
                channels.add(message["channel"])
        return channels

    def check(self) -> None:
        """Send a ping; raise ConnectionError if the last one is unanswered, because silence alone proves nothing."""
        if self._pubsub is None:
            return
        if self._pinged:
            raise redis.ConnectionError("the subscription's connection does not answer a ping")
        self._pubsub.ping()
        self._pinged = True

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._pubsub is not None

    @property
    def connection(self) -> socket.socket | None:
        """The socket to wait on (redis-py has no public name for it); None without one or with an in-process Redis."""
        connection = self._pubsub.connection if self._pubsub else None
        found = getattr(connection, "_sock", None)
        return found if isinstance(found, socket.socket) else None

    def close(self) -> None:
        """Close the connection."""
        if self._pubsub is not None:
            self._pubsub.close()
        self._pubsub = None
        self._channels = set()
        self._pinged = False
