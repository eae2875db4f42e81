"""How many messages a worker may still claim."""

from __future__ import annotations

import threading


class Quota:
    """`limit` messages in all (None: no limit), shared by the consumers of all queues."""

    def __init__(self, limit: int | None = None) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def reserve(self, count: int) -> int:
        """Reserve up to `count` messages; return how many were granted."""
        with self._lock:
            if self._left is None:
                return count
            granted = min(count, self._left)
            self._left -= granted
            return granted

    def release(self, count: int) -> None:
        """Return reserved messages that were not used to the quota."""
        with self._lock:
            if self._left is not None:
                self._left += count
