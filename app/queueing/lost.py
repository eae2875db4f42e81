"""Which workers are lost with their whole host. One whose process died is not: its successor beats under its name."""

from __future__ import annotations

import time
from collections.abc import Mapping

from app.queueing.signs import BEAT_SECONDS

# Nobody beats for a worker for so long: neither itself, nor the monitor of its container, which does so as long as its
# process lives, whatever holds its interpreter.
LOST_SECONDS = 10.0
# Looks that are further apart say nothing of what was in between.
LONGEST_GAP = 3 * BEAT_SECONDS


class LostWorkers:
    """Watches the heartbeats of all workers, and believes only what it saw itself.

    The age of a heartbeat alone proves nothing: after Redis was away, or this process was paused, all are old.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        self._looked = -LONGEST_GAP

    def look(self, heartbeats: Mapping[str, float]) -> list[str]:
        """The workers whose heartbeat has stayed the same for LOST_SECONDS in which this process kept looking."""
        now = time.monotonic()
        before = self._seen if now - self._looked <= LONGEST_GAP else {}
        self._looked = now
        self._seen = {
            name: before[name] if name in before and before[name][0] == beat else (beat, now)
            for name, beat in heartbeats.items()
        }
        return [name for name, (_, since) in self._seen.items() if now - since >= LOST_SECONDS]
