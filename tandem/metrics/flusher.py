"""Adds what this process counts to the sums in Redis, every second, in a thread that starts with the first call."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import redis

from tandem.metrics import instruments
from tandem.support.periodic import Periodic

SECONDS = 1.0


class Flusher:
    """The thread of one process. connect: called in it, after a fork."""

    def __init__(self, connect: Callable[[], redis.Redis]) -> None:
        self._connect = connect
        self._thread: Periodic | None = None
        self._process = 0
        self._client: redis.Redis | None = None

    def start(self) -> None:
        """Start the thread, unless this process has it already."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._client = self._connect()
        self._thread = Periodic("metrics", self.flush, SECONDS, expected=(redis.RedisError,))
        self._thread.start()

    def flush(self) -> None:
        """Add what was counted until now. Raises redis.RedisError."""
        if self._client is not None:
            instruments.flush(self._client)

    def stop(self) -> None:
        """End the thread, after it has added what was counted."""
        if self._thread is not None:
            self._thread.stop()
            with suppress(redis.RedisError):
                self.flush()
