"""Detects workers that are lost with their whole host. One whose process died is not: its successor has its name."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tandem.worker.heartbeat_file import BEAT_SECONDS

# No heartbeat of a worker for this long: neither its own, nor one that the monitor of its container relays as long as
# the process lives, whatever holds its interpreter.
LOST_SECONDS = 10.0
# Checks that are further apart say nothing of what was in between.
MAX_GAP_SECONDS = 3 * BEAT_SECONDS


class FailureDetector:
    """Watches the heartbeats of all workers, and relies only on its own observations.

    The age of a heartbeat alone proves nothing: after an outage of Redis, or a pause of this process, all are old.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        self._checked_at = -MAX_GAP_SECONDS

    def check(self, heartbeats: Mapping[str, float]) -> list[str]:
        """Return the workers whose heartbeat has not changed for LOST_SECONDS in which this process kept checking."""
        now = time.monotonic()
        before = self._seen if now - self._checked_at <= MAX_GAP_SECONDS else {}
        self._checked_at = now
        self._seen = {
            name: before[name] if name in before and before[name][0] == beat else (beat, now)
            for name, beat in heartbeats.items()
        }
        return [name for name, (_, since) in self._seen.items() if now - since >= LOST_SECONDS]
