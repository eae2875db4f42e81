"""How many messages a worker may still take."""

from __future__ import annotations

import threading


class Budget:
    """`limit` messages in all (None: no limit), shared by the consumers of all queues."""

    def __init__(self, limit: int | None = None) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self, count: int) -> int:
        """Reserves up to `count` messages; tells how many were granted."""
        with self._lock:
            if self._left is None:
                return count
            granted = min(count, self._left)
            self._left -= granted
            return granted

    def put_back(self, count: int) -> None:
        """Returns what was reserved and not used."""
        with self._lock:
            if self._left is not None:
                self._left += count
