"""Each worker's sign of life, for Redis (who keeps which messages) and for the container (see signs.py)."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from app.queueing import signs
from app.queueing.broker import Broker
from app.queueing.limits import resident_memory
from app.queueing.lost import LostWorkers
from app.queueing.recovery import bring_back, forget_old_dead_letters
from app.queueing.turns import Turn

logger = logging.getLogger(__name__)

# Every 14 seconds.
FORGET_BEATS = 7


class Presence:
    """Beats every two seconds until `leave`; a process whose interpreter is held by one thread does not.

    Every now and then it looks after what lost workers have left. The file and Redis have a thread each: a Redis
    that is slow to answer must not make the worker look dead.
    """

    def __init__(self, process: str, broker: Broker, turn: Turn, *, queues: tuple[str, ...], threads: int) -> None:
        self._process = process
        self._queues = queues
        self._threads = threads
        self._started = time.time()
        self._turn = turn
        self._broker = broker
        self._activity = broker.activity
        self._delivery = broker.delivery
        self._lost = LostWorkers()
        self._beats = 0
        self._over = threading.Event()
        self.state = "consuming"

    def start(self, look: Callable[[], None]) -> None:
        """Begins to beat; `look` is called with each beat in Redis."""
        self._look = look
        for step in (self._beat_here, self._beat_in_redis):
            threading.Thread(target=self._repeat, args=[step], name=step.__name__, daemon=True).start()

    def leave(self) -> None:
        """Takes the sign down; the one in Redis only when no message is left behind."""
        self._over.set()
        try:
            signs.remove(self._process)
            self._delivery.leave()
        except (OSError, redis.RedisError) as error:
            logger.debug("the sign of life stays: %s", error)

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self._over.is_set():
            try:
                step()
            except (OSError, redis.RedisError) as error:
                logger.debug("no sign of life: %s", error)
            except Exception:
                # A bug in what a workload does about its failed messages must not look like a hung worker.
                logger.exception("looking after lost workers broke")
            self._over.wait(signs.BEAT_SECONDS)

    def _beat_here(self) -> None:
        self._beats += 1
        signs.write(self._process, self._sign())

    def _beat_in_redis(self) -> None:
        self._delivery.beat(json.dumps(self._sign()))
        self._look()
        self._turn.renew()
        bring_back(self._broker, self._lost.look(self._delivery.heartbeats()))
        if self._beats % FORGET_BEATS == 0:
            forget_old_dead_letters(self._broker)

    def _sign(self) -> dict[str, Any]:
        running = self._activity.running()
        return {
            "pid": os.getpid(),
            "beat": self._beats,
            "time": time.time(),
            "started": self._started,
            "state": self.state,
            "queues": self._queues,
            "threads": self._threads,
            "ended": self._activity.ended,
            "memory": resident_memory(),
            "running": [
                {
                    "message_id": message.message_id,
                    "actor": message.actor,
                    "seconds": round(message.seconds, 1),
                    "stuck": message.stuck,
                }
                for message in running
            ],
        }
