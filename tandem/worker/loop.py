"""Claims messages, runs their actors on threads, and acknowledges them.

Three kinds of threads with two queues between them: one claims messages from Redis, several run actors, one stores the
outcomes, all available ones at once. Nothing polls: the claiming thread waits in Redis until it is notified or a
delayed message is due, and claims in the same round trip; while all threads are busy, it waits for one of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread, current_thread
from typing import TypeVar

import redis

from tandem.broker import codec, limits
from tandem.broker.broker import Broker
from tandem.broker.rate import Rate
from tandem.broker.store import MAX_BATCH, Delivery, Outcome, by_queue
from tandem.support.backoff import Backoff
from tandem.worker.attempt import UNDECODABLE, undecodable
from tandem.worker.executor import Executor
from tandem.worker.quota import Quota

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Beyond one message for each thread only as many are claimed as would start within this time (seconds): the longest
# that a message waits here while an idle worker could run it. With a fifth of it, threads that run messages of some
# milliseconds, such as one INSERT, mostly waited for the next one, and processor time doubled (benchmarks/sql.py).
PREFETCH_SECONDS = 0.1
MAX_PREFETCH = 64
# Messages that were claimed and do not start within this time are requeued: those before them run longer than expected.
STALE_PREFETCH_SECONDS = 0.5
# How often a worker checks for messages that it has claimed without knowing it: after a network failure, one of its
# commands may reach Redis long after the worker has given up on it and checked.
ORPHANS_INTERVAL = 10.0
# The longest sleep of an idle worker; it matters only when a notification was lost (seconds).
IDLE_SECONDS = 2.0
# How often storing an outcome is tried when it fails for another reason than Redis.
MAX_ACK_FAILURES = 3
# After an error of Redis: the shortest pause and the longest one (seconds).
BACKOFF = (0.05, 2.0)


class Worker:
    """Runs messages of `queues` on `threads` threads. One per process.

    `strict_priority`: the first queue's messages first, as long as it has any; otherwise the queues alternate.
    `max_concurrency`: how many messages of a queue all workers together may have claimed, `rates`: how many in a time.
    `quota`: how many messages this worker may claim in all. `quarantined`: messages that it has claimed already, which
    run one by one before any other.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        queues: tuple[str, ...],
        threads: int,
        strict_priority: bool = True,
        max_concurrency: Mapping[str, int] | None = None,
        rates: Mapping[str, Rate] | None = None,
        quota: Quota | None = None,
        quarantined: list[Delivery] | None = None,
    ) -> None:
        self._broker = broker
        self._store = broker.store
        self._executor = Executor(broker)
        self._queues = queues
        self._threads = threads
        self._strict_priority = strict_priority
        self._max_concurrency = max_concurrency or {}
        self._rates = rates or {}
        self._limits = limits.by_queue(broker.actors.values())
        self._quota = quota or Quota()
        self._quarantined = quarantined or []
        # Set when a message has ended, and when no more are to be claimed.
        self._changed = Event()
        # How long to wait for a notification before the next claim; 0 after one that left messages.
        self._pause = 0.0
        self._prefetched: SimpleQueue[Delivery | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()
        self._claimed: dict[str, Delivery] = {}
        self._lock = Lock()
        self._mean_run = 1.0
        self._last_started = 0.0

    # --- start and stop --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start to claim messages, after the quarantined ones."""
        self._broker.emit_before("worker_boot", self)
        self._acker = _start(self._ack_all, "ack")
        self._runners = [_start(self._run_all, f"run-{number}") for number in range(self._threads)]
        self._claimer = _start(self._claim_all, "claim")
        self._broker.emit_after("worker_boot", self)

    def stop_claiming(self, timeout: float) -> None:
        """Claim no more messages and requeue those that have not started; wait at most `timeout` seconds.

        Actors with dramatiq's option `notify_shutdown` are interrupted.
        """
        self._broker.draining.set()
        self._broker.emit_before("worker_shutdown", self)
        self._changed.set()
        try:
            self._store.stop_waiting()
        except redis.RedisError as error:
            logger.debug("the wait for messages ends by itself: %s", error)
        self._claimer.join(timeout)
        try:
            self._requeue_prefetched()
        except redis.RedisError as error:
            logger.warning("requeueing prefetched messages failed, the next start of this worker does it: %s", error)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no message runs and all outcomes are stored, at most `seconds`; return whether that is so.

        Only after `stop_claiming`.
        """
        if self._claimed:
            self._wait(seconds)
        return not self._claimed

    def stop(self, timeout: float) -> None:
        """End the idle threads; wait at most `timeout` seconds for outcomes that are not stored."""
        for _ in self._runners:
            self._prefetched.put(None)
        deadline = time.monotonic() + timeout
        for thread in self._runners:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._outcomes.put(None)
        self._acker.join(max(0.0, deadline - time.monotonic()))
        self._broker.emit_after("worker_shutdown", self)

    # --- claiming --------------------------------------------------------------------------------------------------

    def _claim_all(self) -> None:
        backoff = Backoff(*BACKOFF)
        self._run_quarantined()
        check_orphans_at = time.monotonic() + ORPHANS_INTERVAL
        while not self._broker.draining.is_set():
            try:
                if time.monotonic() >= check_orphans_at:
                    self._requeue_orphans()
                    check_orphans_at = time.monotonic() + ORPHANS_INTERVAL
                self._claim_some()
                if backoff.has_grown:
                    logger.info("Redis is available again")
                    backoff.reset()
            except redis.RedisError as error:
                # Its answer may have been lost: then this worker has claimed messages without knowing it.
                check_orphans_at = 0.0
                logger.warning("claiming messages failed, retrying in %.2f s: %s", backoff.pause, error)
                backoff.wait(self._broker.draining)
            except Exception:
                logger.exception("claiming messages failed, retrying in %.1f s", BACKOFF[1])
                check_orphans_at = 0.0
                self._broker.draining.wait(BACKOFF[1])

    def _claim_some(self) -> None:
        self._requeue_stale()
        granted = self._quota.reserve(max(0, self._free_slots()))
        if not granted:
            # Not for messages: their notifications are for a worker that may claim some.
            self._wait(STALE_PREFETCH_SECONDS)
            return
        deliveries, due_in = self._claim_batch(granted)
        if self._broker.draining.is_set():
            self._give_back(deliveries)
            return
        for delivery in self._by_priority(deliveries):
            self._accept(delivery)
        if len(deliveries) >= min(granted, MAX_BATCH):
            self._pause = 0.0
            return
        # The queues were empty, so the notifications were cleared: any message from now on sends a new one.
        longest = IDLE_SECONDS if self._prefetched.empty() else STALE_PREFETCH_SECONDS
        self._pause = longest if due_in is None else min(due_in, longest)

    def _wait(self, seconds: float) -> None:
        """Wait until a message has ended or none is to be claimed any more, at most `seconds`."""
        self._changed.wait(seconds)
        self._changed.clear()

    def _claim_batch(self, granted: int) -> tuple[list[Delivery], float | None]:
        deliveries: list[Delivery] = []
        try:
            deliveries, due_in = self._store.claim_batch(
                self._queues, granted, self._max_concurrency, self._rates, self._limits, wait=self._pause
            )
        except redis.RedisError:
            self._pause = 0.0
            raise
        finally:
            self._quota.release(granted - len(deliveries))
        if not self._strict_priority:
            self._queues = (*self._queues[1:], self._queues[0])
        return deliveries, due_in

    def _by_priority(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Return messages that were claimed at once in the order of their actors' `priority`, as in dramatiq.

        Only where an actor has one: it costs decoding each message twice.
        """
        actors = self._broker.actors
        if len(deliveries) < 2 or not any(actor.priority for actor in actors.values()):
            return deliveries

        def priority(delivery: Delivery) -> int:
            message = codec.decode(delivery.payload)
            actor = actors.get(message.actor_name) if message else None
            return actor.priority if actor else 0

        return sorted(deliveries, key=priority)

    def _accept(self, delivery: Delivery) -> None:
        with self._lock:
            running = self._claimed.setdefault(delivery.id, delivery)
            # This worker may have been considered lost, and gets the message again while still running it: the running
            # one continues as this delivery.
            running.delivery_count = delivery.delivery_count
        if running is delivery:
            if self._prefetched.empty():
                # Its waiting time starts now, not at the start of the last message before it.
                self._last_started = time.monotonic()
            self._prefetched.put(delivery)
        else:
            self._quota.release(1)

    def _free_slots(self) -> int:
        prefetch = min(MAX_PREFETCH, int(self._threads * PREFETCH_SECONDS / max(self._mean_run, 1e-6)))
        free = self._threads + prefetch - len(self._claimed)
        # Fetching messages one by one would be most of the work; but no thread may run out of messages.
        return free if free > prefetch // 2 or self._prefetched.empty() else 0

    def _requeue_stale(self) -> None:
        if not self._prefetched.empty() and time.monotonic() - self._last_started > STALE_PREFETCH_SECONDS:
            self._mean_run = 1.0
            self._requeue_prefetched()

    def _requeue_prefetched(self) -> None:
        prefetched = list(_drained(self._prefetched))
        for delivery in prefetched:
            self._claimed.pop(delivery.id, None)
        self._give_back(prefetched)

    def _give_back(self, deliveries: list[Delivery]) -> None:
        """Requeue messages that have not started."""
        self._quota.release(len(deliveries))
        for queue, messages in by_queue(deliveries).items():
            self._store.requeue(queue, [delivery.id for delivery in messages])

    def _requeue_orphans(self) -> None:
        """Requeue what this worker has claimed without knowing it, and take over what dramatiq's own broker delays.

        Also requeue what was parked for limits that a newer version of the actors no longer has.
        """
        for queue in self._queues:
            orphans = [delivery.id for delivery in self._store.claimed(queue) if delivery.id not in self._claimed]
            self._store.adopt_delayed(queue)
            if queue not in self._limits:
                self._store.unpark(queue)
            if count := self._store.requeue(queue, orphans):
                logger.info("requeued %d orphaned messages of %s, claimed when the connection broke", count, queue)

    def _run_quarantined(self) -> None:
        for quarantined_message in self._quarantined:
            delivery = self._deliver_isolated(quarantined_message)
            if delivery is None and self._broker.draining.is_set():
                return
            if delivery is None:
                # The message limit is the number of quarantined messages.
                self._broker.in_flight.count_not_run()
                continue
            self._accept(delivery)
            while delivery.id in self._claimed:
                if self._broker.draining.is_set():
                    return
                self._wait(STALE_PREFETCH_SECONDS)

    def _deliver_isolated(self, quarantined_message: Delivery) -> Delivery | None:
        backoff = Backoff(*BACKOFF)
        while not self._broker.draining.is_set():
            try:
                return self._store.deliver_isolated(quarantined_message)
            except redis.RedisError as error:
                logger.warning("delivering a quarantined message failed, retrying in %.2f s: %s", backoff.pause, error)
                backoff.wait(self._broker.draining)
        return None

    # --- running ---------------------------------------------------------------------------------------------------

    def _run_all(self) -> None:
        thread = current_thread()
        self._broker.emit_after("worker_thread_boot", thread)
        try:
            self._run_until_stopped()
        finally:
            self._broker.emit_before("worker_thread_shutdown", thread)

    def _run_until_stopped(self) -> None:
        while (delivery := self._prefetched.get()) is not None:
            self._last_started = time.monotonic()
            outcome = self._executor.run(delivery)
            self._mean_run += (outcome.ran - self._mean_run) * 0.1
            self._outcomes.put(outcome)

    # --- acknowledging ---------------------------------------------------------------------------------------------

    def _ack_all(self) -> None:
        while (first := self._outcomes.get()) is not None:
            batch = [first, *islice(_drained(self._outcomes), MAX_BATCH - 1)]
            for queue in {outcome.delivery.queue for outcome in batch}:
                self._ack_or_dead_letter(queue, [outcome for outcome in batch if outcome.delivery.queue == queue])
            self._changed.set()

    def _ack_or_dead_letter(self, queue: str, outcomes: list[Outcome]) -> None:
        """Store outcomes. One that cannot be stored does not prevent the others from being stored."""
        try:
            self._ack(queue, outcomes)
        except Exception:
            if len(outcomes) > 1:
                for outcome in outcomes:
                    self._ack_or_dead_letter(queue, [outcome])
                return
            (outcome,) = outcomes
            logger.exception("storing the outcome of %s failed", outcome.delivery.id)
            if outcome.actor == UNDECODABLE:
                self._claimed.pop(outcome.delivery.id, None)
            else:
                self._ack_or_dead_letter(queue, [undecodable(outcome.delivery)])

    def _ack(self, queue: str, outcomes: list[Outcome]) -> None:
        backoff = Backoff(*BACKOFF)
        uncertain, failures = False, 0
        delivery_counts = {outcome.delivery.id: outcome.delivery.delivery_count for outcome in outcomes}
        while True:
            try:
                lost = self._store.ack(queue, outcomes)
                break
            except Exception as error:
                failures += not isinstance(error, redis.RedisError)
                if failures >= MAX_ACK_FAILURES:
                    raise
                uncertain = True
                logger.warning(
                    "acknowledging %d messages failed, retrying in %.2f s: %s", len(outcomes), backoff.pause, error
                )
                backoff.wait()
        with self._lock:
            # Messages that this worker got again while they still ran: their outcome is for the new delivery.
            again = [
                outcome
                for outcome in outcomes
                if outcome.delivery.id in lost
                and outcome.delivery.delivery_count != delivery_counts[outcome.delivery.id]
            ]
            for outcome in outcomes:
                if outcome not in again:
                    self._claimed.pop(outcome.delivery.id, None)
        for outcome in again:
            self._outcomes.put(outcome)
        lost -= {outcome.delivery.id for outcome in again}
        self._report([outcome for outcome in outcomes if uncertain or outcome.delivery.id not in lost])
        if lost and not uncertain:
            logger.warning("%d messages were no longer claimed by this worker: %s", len(lost), ", ".join(sorted(lost)))

    def _report(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.report is not None and self._broker.reporter is not None:
                self._broker.reporter.send(outcome.report)


def _drained(queue: SimpleQueue[T | None]) -> Iterator[T]:
    """Yield the current items of a queue, up to its end mark, which stays."""
    while True:
        try:
            item = queue.get_nowait()
        except Empty:
            return
        if item is None:
            queue.put(None)
            return
        yield item


def _start(target: Callable[[], None], name: str) -> Thread:
    thread = Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
