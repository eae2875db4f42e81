"""One worker process: consumes until it is told to stop, then lets the running messages finish."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType

import redis
from dramatiq import Worker
from dramatiq.brokers.redis import RedisBroker

logger = logging.getLogger(__name__)

# How long a thread or a consumer that idles takes to notice the stop; dramatiq's own second adds up to three.
IDLE_WAKE_UP_MS = 200
KILLED_BY_SECOND_SIGNAL = 1


class Stop:
    """The first SIGTERM or SIGINT asks for a drain, a second one ends the process at once."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.reason = ""

    def listen(self) -> None:
        """Takes the signals of this process. Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            # Unacknowledged messages come back, so an end without any clean-up loses nothing.
            os._exit(KILLED_BY_SECOND_SIGNAL)
        self.reason = signal.Signals(number).name
        self._asked.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until a stop is asked for, at most `seconds`; tells whether it was."""
        return self._asked.wait(seconds)


def consume(broker: RedisBroker, *, queues: tuple[str, ...], threads: int, drain_timeout: int) -> None:
    """Runs messages of `queues` (all, when empty) on `threads` threads until SIGTERM or SIGINT.

    Returns when the running messages have ended, at the latest after `drain_timeout` seconds.
    """
    stop = Stop()
    stop.listen()
    if not _await_redis(broker, stop):
        return
    worker = Worker(broker, queues=set(queues) or None, worker_threads=threads, worker_timeout=IDLE_WAKE_UP_MS)
    # A message that lies prefetched behind a long one could already run in an idle process.
    worker.queue_prefetch = threads
    broker.emit_after("process_boot")
    worker.start()
    logger.info("consuming %s with %d threads", ", ".join(queues) or "all queues", threads)
    stop.wait()
    logger.info("stopping on %s: finishing the running messages", stop.reason)
    worker.stop(timeout=drain_timeout * 1000)
    broker.emit_before("process_stop")
    broker.close()
    logger.info("stopped")


def _await_redis(broker: RedisBroker, stop: Stop) -> bool:
    """Redis starts at the same moment as this process; dramatiq would wait for 3 s after a first refusal."""
    pause, since = 0.05, time.monotonic()
    while True:
        try:
            broker.client.ping()
            return True
        except redis.RedisError as error:
            if time.monotonic() - since > 1:
                logger.warning("waiting for Redis: %s", error)
        if stop.wait(pause):
            return False
        pause = min(pause * 2, 5)
