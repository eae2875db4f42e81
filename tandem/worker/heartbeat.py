"""Each worker's heartbeat, in Redis (who has claimed which messages) and for its container (see heartbeat_file.py)."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import redis

from tandem.broker.broker import Broker
from tandem.process.resource_usage import resident_memory
from tandem.support.periodic import Periodic
from tandem.worker import heartbeat_file
from tandem.worker.failure_detector import FailureDetector
from tandem.worker.recovery import expire_dead_letters, requeue_of_lost
from tandem.worker.restart_lease import RestartLease

logger = logging.getLogger(__name__)

# Every 14 seconds.
EXPIRE_BEATS = 7


class HeartbeatReporter:
    """Sends a heartbeat every two seconds until `stop`, unless a thread blocks the interpreter.

    It also requeues messages of lost workers. The file and Redis have a thread each: a slow Redis must not make the
    worker appear dead.
    """

    def __init__(
        self, process: str, broker: Broker, lease: RestartLease, *, queues: tuple[str, ...], threads: int
    ) -> None:
        self._process = process
        self._queues = queues
        self._threads = threads
        self._started = time.monotonic()
        self._started_in_redis = 0.0
        self._lease = lease
        self._broker = broker
        self._in_flight = broker.in_flight
        self._store = broker.store
        self._failure_detector = FailureDetector()
        self._beats = 0
        self._loops: list[Periodic] = []
        self.state = "consuming"

    def start(self, on_beat: Callable[[], None]) -> None:
        """Start to send heartbeats; `on_beat` is called with each one in Redis."""
        self._on_beat = on_beat
        for name, step in (("heartbeat file", self._write_file), ("heartbeat in Redis", self._write_redis)):
            expected = (OSError, redis.RedisError)
            loop = Periodic(name, step, heartbeat_file.BEAT_SECONDS, expected=expected, at_once=True)
            self._loops.append(loop)
            loop.start()

    def stop(self) -> None:
        """Remove the heartbeat; the one in Redis only if this worker has no claimed message left."""
        for loop in self._loops:
            loop.stop()
        try:
            heartbeat_file.remove(self._process)
            self._store.deregister()
        except (OSError, redis.RedisError) as error:
            logger.debug("removing the heartbeat failed: %s", error)

    def _write_file(self) -> None:
        self._beats += 1
        heartbeat_file.write(self._process, self._state())

    def _write_redis(self) -> None:
        self._store.heartbeat(json.dumps(self._state_by_redis_clock()))
        self._on_beat()
        self._lease.renew()
        requeue_of_lost(self._broker, self._failure_detector.check(self._store.heartbeats()))
        if self._beats % EXPIRE_BEATS == 0:
            expire_dead_letters(self._broker)

    def _state_by_redis_clock(self) -> dict[str, Any]:
        """Return this worker's state with times by the clock of Redis, which other containers compare."""
        state, now = self._state(), self._store.now() / 1000
        # Once: name, pid and this identify a process.
        self._started_in_redis = self._started_in_redis or now - (state["time"] - state["started"])
        return {**state, "time": now, "started": self._started_in_redis}

    def _state(self) -> dict[str, Any]:
        running = self._in_flight.running()
        return {
            "pid": os.getpid(),
            "beat": self._beats,
            "time": time.monotonic(),
            "started": self._started,
            "state": self.state,
            "queues": self._queues,
            "threads": self._threads,
            "ended": self._in_flight.ended,
            "memory": resident_memory(),
            "running": [
                {
                    "message_id": message.message_id,
                    "queue_id": message.queue_id,
                    "actor": message.actor,
                    "seconds": round(message.seconds, 1),
                    "stuck": message.stuck,
                }
                for message in running
            ],
        }
