"""Which schedules are overdue, for the alert."""

from __future__ import annotations

from tandem.schedules import definitions
from tandem.schedules.store import ScheduleStore, overdue


class ScheduleWatch:
    """Looks at the schedules of this container's workloads, and at those that were added at run time."""

    def __init__(self, store: ScheduleStore) -> None:
        self._store = store
        self._own, self._actors = definitions.read()

    def overdue(self) -> dict[str, str]:
        """Return the schedules that are overdue or cannot run, with the reasons. Raises redis.RedisError."""
        added = self._store.added() if self._store.version() else []
        known = {schedule.name: schedule for schedule in (*added, *self._own)}
        if not known:
            return {}
        found = overdue(known.values(), self._store.states(known), self._store.now())
        for schedule in known.values():
            if schedule.actor not in self._actors:
                found[schedule.name] = f"waits, because there is no actor {schedule.actor}"
        return found
