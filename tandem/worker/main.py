"""One worker process: consumes until a stop or a limit, and lets running messages finish."""

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

from tandem import logs
from tandem.broker import keys, requirements
from tandem.broker.broker import Broker
from tandem.broker.in_flight import Running
from tandem.broker.rate import Rate
from tandem.broker.store import Delivery
from tandem.broker.telemetry import flush
from tandem.metrics.flusher import Flusher
from tandem.operate import control, restarts
from tandem.process.resource_usage import resident_memory
from tandem.support.backoff import Backoff
from tandem.worker.cancellation import interrupt_canceled
from tandem.worker.heartbeat import HeartbeatReporter
from tandem.worker.loop import Worker
from tandem.worker.quota import Quota
from tandem.worker.recovery import recover
from tandem.worker.recycling import Limits, RecyclePolicy
from tandem.worker.restart_lease import RestartLease

logger = logging.getLogger(__name__)

# How often the limits are checked while messages run, and while none does (seconds).
POLL_INTERVAL = 0.1
IDLE_POLL_INTERVAL = 0.5
# A worker stops claiming messages within this time, unless Redis does not answer (seconds).
STOP_CLAIMING_SECONDS = 6.0
# A message that cannot be acknowledged within this time is handled again (seconds).
ACK_SECONDS = 15
# A worker that exits before supervisor's startsecs have passed would count as one that cannot start.
MIN_UPTIME_SECONDS = 1.2
EXIT_KILLED = 1
EXIT_STUCK = 3


class MemoryLimitTooSmall(Exception):
    """An idle worker is above its limit: it would be replaced forever."""


class Stop:
    """The first SIGTERM or SIGINT, or `queue stop-workers`, asks for a drain; the same signal again ends the process.

    Ctrl+C in a terminal sends SIGINT to all its processes, and the one that has started this one then sends SIGTERM.
    """

    def __init__(self) -> None:
        self._changed = threading.Event()
        self._asked = False
        self._signals = set[int]()
        self.reason = ""

    def listen(self) -> None:
        """Install the signal handlers of this process. Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number in self._signals:
            # Unacknowledged messages are requeued, so exiting without any clean-up loses nothing.
            os._exit(EXIT_KILLED)
        self._signals.add(number)
        self.ask(signal.Signals(number).name)

    def ask(self, reason: str) -> None:
        """Ask for a stop; the first reason counts."""
        self.reason = self.reason or reason
        self._asked = True
        self._changed.set()

    def wake(self) -> None:
        """End the current or the next wait, without a stop."""
        self._changed.set()

    def wait(self, seconds: float) -> bool:
        """Wait until a stop is asked for or `wake`, at most `seconds`; return whether a stop was asked for."""
        if not self._asked and self._changed.wait(seconds):
            self._changed.clear()
        return self._asked

    def sleep(self, seconds: float) -> None:
        """Wait for so long, or until a stop is asked for."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self.wait(left):
            pass


def consume(
    broker: Broker,
    *,
    queues: tuple[str, ...],
    threads: int,
    limits: Limits,
    drain_timeout: int,
    max_concurrency: Mapping[str, int] | None = None,
    rates: Mapping[str, Rate] | None = None,
) -> None:
    """Run messages of `queues` on `threads` threads until SIGTERM, SIGINT or a limit.

    The first queue's messages come first; without any name all queues alternate. `max_concurrency`: how many messages
    of a queue may run at the same time on all workers of this Redis, if that is limited. Returns when the running
    messages have ended, at the latest after `drain_timeout` seconds. Exits the process with EXIT_STUCK if a thread
    cannot be interrupted.
    """
    since = time.monotonic()
    stop = Stop()
    stop.listen()
    strict_priority = bool(queues)
    queues = queues or tuple(sorted(broker.get_declared_queues()))
    lease = RestartLease(broker.client, broker.worker)
    prepared = _prepare(broker, stop, queues)
    if prepared is None:
        return
    quarantined, stop_before = prepared
    if quarantined:
        logger.warning("%d quarantined messages of dead workers run isolated first", len(quarantined))
        threads, limits = 1, replace(limits, messages=len(quarantined))
        # If it dies again, supervisor should count it as started.
        stop.sleep(MIN_UPTIME_SECONDS)
    policy = RecyclePolicy(limits, broker.in_flight, resident_memory)
    if too_small := policy.memory_reached():
        raise MemoryLimitTooSmall(f"{too_small} are in use before the first message: raise WORKER_MEMORY_LIMIT")
    reporter = HeartbeatReporter(logs.process_name(), broker, lease, queues=queues, threads=threads)

    def check_requests() -> None:
        interrupt_canceled(broker)
        if control.stop_request(broker.client) not in (None, stop_before):
            stop.ask("queue stop-workers")

    metrics = Flusher(lambda: broker.client)
    metrics.start()
    reporter.start(check_requests)
    worker = Worker(
        broker,
        queues=queues,
        strict_priority=strict_priority,
        max_concurrency=max_concurrency,
        rates=rates,
        threads=threads,
        quota=_quota(limits, len(quarantined)),
        quarantined=quarantined,
    )
    broker.emit_after("process_boot")
    worker.start()
    logger.info("consuming %s with %d threads; stops %s", ", ".join(queues), threads, limits)
    # After the line, so that the log shows one restart after the other.
    lease.release()
    reason = _wait_for_reason(stop, policy, broker, lease)
    level = logging.WARNING if reason.startswith("memory") else logging.INFO
    logger.log(level, "stopping on %s: finishing %d running messages", reason, len(broker.in_flight.running()))
    reporter.state = "draining"
    if reason.startswith("memory"):
        broker.over_memory_limit.set()
    _drain(worker, broker, policy, drain_timeout)
    _count_restart(stop, broker, reason, since)
    metrics.stop()
    flush(broker)
    reporter.stop()
    broker.close()
    logger.info("stopped after %d messages", broker.in_flight.ended)


def _count_restart(stop: Stop, broker: Broker, reason: str, since: float) -> None:
    """Count the end of a worker that supervisor replaces, which counts one that ends too early as failed."""
    if logs.process_name() != logs.INTERACTIVE:
        stop.sleep(MIN_UPTIME_SECONDS - (time.monotonic() - since))
        restarts.note(broker.client, reason)


def _quota(limits: Limits, quarantined: int) -> Quota:
    """Return the quota of messages to claim: 0 if there are quarantined messages, which are already claimed."""
    return Quota(0 if quarantined else limits.messages or None)


def _prepare(broker: Broker, stop: Stop, queues: tuple[str, ...]) -> tuple[list[Delivery], bytes | None] | None:
    """Wait for Redis, which starts at the same time, and recover messages of the predecessor.

    Return the quarantined messages and the last request that all workers stop (see control.py); None on a stop.
    """
    backoff, since, reported = Backoff(0.05, 5), time.monotonic(), ""
    while True:
        try:
            requirements.require_usable(broker.client)
            _register_queues(broker.client, queues)
            restarts.note_death(broker.client, broker.worker)
            return recover(broker), control.stop_request(broker.client)
        except (requirements.Unusable, redis.RedisError) as error:
            if reason := _unchanging(error):
                if reason != reported:
                    logger.error("no message is handled: %s", reported := reason)
            elif time.monotonic() - since > 1:
                logger.warning("waiting for Redis: %s", error)
        if stop.wait(backoff.pause):
            return None
        backoff.grow()


def _unchanging(error: Exception) -> str:
    """Return the reason if no waiting changes it, and '' for a Redis that is away or starting."""
    if isinstance(error, requirements.Unusable):
        return str(error)
    # Of this class itself are wrong types and unknown commands.
    if type(error) is redis.ResponseError:
        return (
            f"Redis refused a command: {error}. If another program uses this database, choose another one: "
            "REDIS_URL=redis://…/1"
        )
    return ""


def _register_queues(client: redis.Redis, queues: tuple[str, ...]) -> None:
    # A Redis whose memory is full must not block the workers that empty it; sending a message registers a queue as
    # well.
    with suppress(redis.exceptions.OutOfMemoryError):
        client.sadd(keys.QUEUES, *queues)


def _wait_for_reason(stop: Stop, policy: RecyclePolicy, broker: Broker, lease: RestartLease) -> str:
    """Wait until there is a reason to stop, and return it."""
    interactive = logs.process_name() == logs.INTERACTIVE
    while not _wait(stop, broker):
        if any(message.stuck for message in broker.in_flight.running()):
            return "a stuck thread"
        if reached := policy.urgent():
            # Acquired so that the other workers keep running, but not waited for: this worker may not claim another
            # message, or would grow with each one.
            lease.acquire()
            return reached
        reached = policy.reached()
        if reached and (interactive or lease.acquire()):
            return reached
    return stop.reason


def _wait(stop: Stop, broker: Broker) -> bool:
    """Wait until the limits have to be compared again; return whether a stop was asked for."""
    if broker.in_flight.running():
        return stop.wait(POLL_INTERVAL)
    broker.in_flight.call_at_next_start(stop.wake)
    return stop.wait(IDLE_POLL_INTERVAL)


def _drain(worker: Worker, broker: Broker, policy: RecyclePolicy, timeout: int) -> None:
    """Stop claiming, requeue messages that have not started, and wait for the rest, at most `timeout` seconds."""
    worker.stop_claiming(STOP_CLAIMING_SECONDS)
    _await_running(worker, broker, policy, time.monotonic() + timeout)
    worker.stop(ACK_SECONDS)


def _await_running(worker: Worker, broker: Broker, policy: RecyclePolicy, deadline: float) -> None:
    """Wait for the running messages and their outcomes; exit the process if waiting is pointless."""
    ack_deadline = time.monotonic() + ACK_SECONDS
    while not worker.wait_until_idle(POLL_INTERVAL):
        running = broker.in_flight.running()
        if not running:
            if time.monotonic() > ack_deadline:
                return
            continue
        ack_deadline = time.monotonic() + ACK_SECONDS
        if over_hard_limit := policy.over_hard_limit():
            logger.error("exiting at once, %s: %s", over_hard_limit, _named(running))
            os._exit(EXIT_STUCK)
        if time.monotonic() > deadline or all(message.stuck for message in running):
            # A thread in a system call or in C code cannot be interrupted; its message is requeued.
            logger.error("exiting without waiting for stuck threads: %s", _named(running))
            os._exit(EXIT_STUCK)


def _named(running: list[Running]) -> str:
    return ", ".join(f"{message.actor} {message.message_id} for {message.seconds:.0f} s" for message in running)
