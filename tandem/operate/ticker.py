"""Lets open operations pages look again every second: the monitor publishes, the event streams of the web listen."""

from __future__ import annotations

import redis

from tandem.support.periodic import Periodic

CHANNEL = "tandem:ops"
SECONDS = 1.0


class Ticker:
    """Publishes as long as the process runs."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def start(self) -> None:
        """Start to publish."""
        Periodic("ticks of the operations page", self.tick, SECONDS, expected=(redis.RedisError,)).start()

    def tick(self) -> None:
        """Publish once. Raises redis.RedisError."""
        self._client.publish(CHANNEL, "")
