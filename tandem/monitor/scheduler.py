"""Sends the messages of schedules at their ticks: the monitors of all containers try, and a script sends each once."""

from __future__ import annotations

import logging
import math
import threading

import redis

from tandem.schedules import definitions
from tandem.schedules.schedule import Definition
from tandem.schedules.store import ScheduleStore

logger = logging.getLogger(__name__)

# How often schedules that are added or removed are noticed (seconds).
LOOK_INTERVAL = 2.0
# After an error of Redis (seconds).
RETRY_INTERVAL = 1.0
# A tick comes at its second by the clock of Redis, which this host's clock is compared with now and then.
LATE = 0.02


class Scheduler(threading.Thread):
    """Runs until the process ends. `client` does not decode its answers."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(name="schedules", daemon=True)
        self._store = ScheduleStore(client)
        self._own, self._actors = definitions.read()
        self._added: list[Definition] = []
        self._version = -1
        # The last tick of each schedule that was sent or skipped, as far as is known here.
        self._last: dict[str, float] = {}
        # The tick after that, so that a step reads no expression of a schedule that is not due.
        self._next: dict[str, float] = {}
        self._unknown: set[str] = set()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop after the current step."""
        self._stopped.set()

    def run(self) -> None:
        wait = 0.0
        while not self._stopped.wait(wait):
            try:
                wait = self.step()
            except redis.RedisError as error:
                logger.debug("schedules wait for Redis: %s", error)
                wait = RETRY_INTERVAL
            except Exception:
                logger.exception("sending scheduled messages failed, and continues")
                wait = LOOK_INTERVAL

    def step(self) -> float:
        """Send what is due; return the seconds until the next step. Raises redis.RedisError."""
        self._look()
        if not (schedules := self._known()):
            return LOOK_INTERVAL
        from tandem.schedules import ticks  # cronsim, only where there are schedules

        now, wait = self._store.now(), LOOK_INTERVAL
        for schedule in schedules:
            if now < (upcoming := self._next.get(schedule.name, 0.0)):
                wait = min(wait, upcoming - now + LATE)
                continue
            if schedule.name not in self._last:
                self._last[schedule.name] = self._store.begin(schedule.name, now)
            for tick in ticks.due(schedule, self._last[schedule.name], now):
                self._send(schedule, tick)
            upcoming = next(ticks.after(schedule, max(self._last[schedule.name], now)), math.inf)
            self._next[schedule.name] = upcoming
            wait = min(wait, max(0.0, upcoming - now) + LATE)
        return wait

    def _look(self) -> None:
        """Notice schedules that were added or removed."""
        if (version := self._store.version()) != self._version:
            before, self._added = self._added, self._store.added()
            self._version = version
            # Those that changed begin anew; asking Redis for thousands at each change would take seconds.
            known = {schedule.name: schedule for schedule in before}
            same = {schedule.name for schedule in self._added if known.get(schedule.name) == schedule}
            same |= {schedule.name for schedule in self._own}
            self._last = {name: tick for name, tick in self._last.items() if name in same}
            self._next = {name: tick for name, tick in self._next.items() if name in same}

    def _known(self) -> list[Definition]:
        """Return the schedules whose actor a worker of this container has; those of the workloads go first."""
        by_name = {schedule.name: schedule for schedule in (*self._added, *self._own)}
        for schedule in by_name.values():
            if schedule.actor not in self._actors and schedule.name not in self._unknown:
                self._unknown.add(schedule.name)
                logger.warning("the schedule %s waits: there is no actor %s here", schedule.name, schedule.actor)
        return [schedule for schedule in by_name.values() if schedule.actor in self._actors]

    def _send(self, schedule: Definition, tick: int) -> None:
        result = self._store.send(schedule, tick)
        self._last[schedule.name] = tick
        if result == "sent":
            logger.info("schedule %s sent a message to %s", schedule.name, schedule.queue)
        elif result == "overlap":
            logger.warning("schedule %s skipped a tick, because the last message has not ended", schedule.name)
