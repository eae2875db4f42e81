"""One worker process: consumes until it is told to stop or a limit is reached, and lets running messages finish."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import FrameType

import redis

from app import logs
from app.queueing import control, keys
from app.queueing.activity import Running
from app.queueing.broker import Broker
from app.queueing.budget import Budget
from app.queueing.delivery import Taken
from app.queueing.limits import Limits, Watch, resident_memory
from app.queueing.presence import Presence
from app.queueing.recovery import recover
from app.queueing.turns import Turn
from app.queueing.worker import Worker

logger = logging.getLogger(__name__)

# How often the limits are looked at (seconds).
LOOK_SECONDS = 0.1
# A worker has stopped taking messages within this; longer only when Redis does not answer.
STOP_TAKING_SECONDS = 6.0
# A handled message whose acknowledgement Redis does not take for so long is handled again.
SETTLE_SECONDS = 15
# A worker that leaves before supervisor's startsecs have passed would count as one that cannot start.
SHORTEST_STAY = 1.2
EXIT_KILLED = 1
EXIT_STUCK = 3


class MemoryLimitTooSmall(Exception):
    """An idle worker is above its limit: it would be replaced for ever."""


class Stop:
    """The first SIGTERM or SIGINT, or `queue stop-workers`, asks for a drain; a second signal ends the process."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._signalled = False
        self.reason = ""

    def listen(self) -> None:
        """Takes the signals of this process. Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signalled:
            # Unacknowledged messages come back, so an end without any clean-up loses nothing.
            os._exit(EXIT_KILLED)
        self._signalled = True
        self.ask(signal.Signals(number).name)

    def ask(self, reason: str) -> None:
        """Asks for a stop; the first reason counts."""
        self.reason = self.reason or reason
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Waits until a stop is asked for, at most `seconds`; tells whether it was."""
        return self._asked.wait(seconds)


def consume(
    broker: Broker,
    *,
    queues: tuple[str, ...],
    threads: int,
    limits: Limits,
    drain_timeout: int,
    at_once: Mapping[str, int] | None = None,
) -> None:
    """Runs messages of `queues` on `threads` threads until SIGTERM, SIGINT or a limit.

    The first queue's messages come first; without any name all queues take turns. `at_once`: how many messages of a
    queue may run at the same time, over all workers on this Redis, where that is bounded. Returns when the running
    messages have ended, at the latest after `drain_timeout` seconds. Ends the process with EXIT_STUCK when a thread
    cannot be interrupted.
    """
    since = time.monotonic()
    stop = Stop()
    stop.listen()
    in_order = bool(queues)
    queues = queues or tuple(sorted(broker.get_declared_queues()))
    turn = Turn(broker.client, broker.worker)
    prepared = _prepare(broker, stop, queues)
    if prepared is None:
        return
    suspects, stop_before = prepared
    if suspects:
        logger.warning("%d messages were with workers that died: they run alone first", len(suspects))
        threads, limits = 1, replace(limits, messages=len(suspects))
        # If it dies again, supervisor should take it for one that had started.
        stop.wait(SHORTEST_STAY)
    watch = Watch(limits, broker.activity, resident_memory)
    if too_small := watch.memory_reached():
        raise MemoryLimitTooSmall(f"{too_small} are in use before the first message: raise WORKER_MEMORY_LIMIT")
    presence = Presence(logs.process_name(), broker, turn, queues=queues, threads=threads)

    def heed_stop_workers() -> None:
        if control.stop_asked(broker.client) not in (None, stop_before):
            stop.ask("queue stop-workers")

    presence.start(heed_stop_workers)
    worker = Worker(
        broker,
        queues=queues,
        in_order=in_order,
        at_once=at_once,
        threads=threads,
        take=_budget(limits, len(suspects)),
        suspects=suspects,
    )
    broker.emit_after("process_boot")
    worker.start()
    turn.pass_on()
    logger.info("consuming %s with %d threads; leaves %s", ", ".join(queues), threads, limits)
    reason = _until_over(stop, watch, broker, turn)
    level = logging.WARNING if reason.startswith("memory") else logging.INFO
    logger.log(level, "stopping on %s: finishing %d running messages", reason, len(broker.activity.running()))
    presence.state = "draining"
    _drain(worker, broker, watch, drain_timeout)
    if logs.process_name() != logs.BY_HAND:
        stop.wait(SHORTEST_STAY - (time.monotonic() - since))
    presence.leave()
    broker.close()
    logger.info("stopped after %d messages", broker.activity.ended)


def _budget(limits: Limits, suspects: int) -> Budget:
    """How many messages may be taken off the queues: none beside suspects, which are here already."""
    return Budget(0 if suspects else limits.messages or None)


def _prepare(broker: Broker, stop: Stop, queues: tuple[str, ...]) -> tuple[list[Taken], bytes | None] | None:
    """Waits for Redis, which starts at the same moment, and recovers.

    The suspects, and when all workers were asked to stop before (see control.py); None on a stop.
    """
    pause, since = 0.05, time.monotonic()
    while True:
        try:
            _make_known(broker.client, queues)
            return recover(broker), control.stop_asked(broker.client)
        except redis.RedisError as error:
            if time.monotonic() - since > 1:
                logger.warning("waiting for Redis: %s", error)
        if stop.wait(pause):
            return None
        pause = min(pause * 2, 5)


def _make_known(client: redis.Redis, queues: tuple[str, ...]) -> None:
    # With its memory full, Redis must not keep those away who empty it; who sends makes a queue known as well.
    with suppress(redis.exceptions.OutOfMemoryError):
        client.sadd(keys.QUEUES, *queues)


def _until_over(stop: Stop, watch: Watch, broker: Broker, turn: Turn) -> str:
    """The reason to leave, once there is one."""
    by_hand = logs.process_name() == logs.BY_HAND
    while not stop.wait(LOOK_SECONDS):
        if any(message.stuck for message in broker.activity.running()):
            return "a stuck thread"
        if reached := watch.urgent():
            # Asked for so that the others stay, but nobody waits: it can take no more, or grows with each one.
            turn.take()
            return reached
        reached = watch.reached()
        if reached and (by_hand or turn.take()):
            return reached
    return stop.reason


def _drain(worker: Worker, broker: Broker, watch: Watch, timeout: int) -> None:
    """Takes no more messages, gives back what nobody works on, and waits for the rest, at most `timeout` seconds."""
    worker.stop_taking(STOP_TAKING_SECONDS)
    _await_running(worker, broker, watch, time.monotonic() + timeout)
    worker.stop(SETTLE_SECONDS)


def _await_running(worker: Worker, broker: Broker, watch: Watch, deadline: float) -> None:
    """Waits for the running messages and their outcomes; ends the process where waiting makes no sense."""
    settled_by = time.monotonic() + SETTLE_SECONDS
    while not worker.wait_until_idle(LOOK_SECONDS):
        running = broker.activity.running()
        if not running:
            if time.monotonic() > settled_by:
                return
            continue
        settled_by = time.monotonic() + SETTLE_SECONDS
        if runaway := watch.runaway():
            logger.error("leaving at once, %s: %s", runaway, _named(running))
            os._exit(EXIT_STUCK)
        if time.monotonic() > deadline or all(message.stuck for message in running):
            # A thread in a system call or in C code cannot be interrupted; its message comes back.
            logger.error("leaving without the threads that are stuck: %s", _named(running))
            os._exit(EXIT_STUCK)


def _named(running: list[Running]) -> str:
    return ", ".join(f"{message.actor} {message.message_id} for {message.seconds:.0f} s" for message in running)
