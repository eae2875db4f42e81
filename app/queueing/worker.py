"""Takes messages off the queues, runs their actors on threads, and stores how they ended.

Three kinds of threads with two queues between them: one takes messages off Redis, several run actors, one stores the
outcomes, as many at once as there are. Nothing polls: whoever takes sleeps until a bell in Redis rings, a delayed
message is due, or a thread is free.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

import redis

from app.queueing.bell import Bell
from app.queueing.broker import Broker
from app.queueing.budget import Budget
from app.queueing.delivery import MAX_BATCH, Outcome, Taken, by_queue
from app.queueing.retries import UNREADABLE, unreadable
from app.queueing.runner import Runner

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Beyond one message for each thread only as many are taken as would be begun within this time (seconds), so that
# nothing waits here that an idle worker could run.
AHEAD_SECONDS = 0.02
MOST_AHEAD = 64
# What was taken and is not begun within this time goes back: the messages before it run longer than those before them.
HOARD_SECONDS = 0.5
# How often a worker looks for messages that are with it without its knowledge: one of its commands may reach Redis long
# after the worker has given it up and looked, when the network was away meanwhile.
STRAYS_SECONDS = 10.0
# The longest sleep of an idle worker; only a bell that was lost makes it matter (seconds).
IDLE_SECONDS = 1.0
# So often an outcome is tried again that cannot be stored for another reason than Redis.
BUGS = 3
# After an error of Redis: the first pause and the longest one (seconds).
AGAIN_AFTER = (0.05, 2.0)


class Worker:
    """Runs messages of `queues` on `threads` threads. One for each process.

    `in_order`: the first queue's messages first, as long as it has any; otherwise the queues take turns. `at_once`: of
    how many messages of a queue may be with all workers together. `take`: how many messages may be taken in all.
    `suspects`: messages that are with this worker already, which run one by one before anything else.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        queues: tuple[str, ...],
        threads: int,
        in_order: bool = True,
        at_once: Mapping[str, int] | None = None,
        take: Budget | None = None,
        suspects: list[Taken] | None = None,
    ) -> None:
        self._broker = broker
        self._delivery = broker.delivery
        self._runner = Runner(broker)
        self._queues = queues
        self._threads = threads
        self._in_order = in_order
        self._at_once = at_once or {}
        self._budget = take or Budget()
        self._suspects = suspects or []
        self._bell = Bell(broker.client, queues)
        self._waiting: SimpleQueue[Taken | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()
        self._here: dict[str, Taken] = {}
        self._lock = Lock()
        self._mean_run = 1.0
        self._last_begun = 0.0

    # --- for its owner ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to take messages, after the suspects."""
        self._broker.emit_before("worker_boot", self)
        self._bell.start()
        self._settler = _start(self._settle_all, "settle")
        self._runners = [_start(self._run_all, f"run-{number}") for number in range(self._threads)]
        self._taker = _start(self._take_all, "take")
        self._broker.emit_after("worker_boot", self)

    def stop_taking(self, timeout: float) -> None:
        """Takes no more messages and gives back those that nobody has begun; waits at most `timeout` seconds.

        Actors with dramatiq's option `notify_shutdown` are interrupted.
        """
        self._broker.draining.set()
        self._broker.emit_before("worker_shutdown", self)
        self._bell.ring()
        self._taker.join(timeout)
        try:
            self._give_back_waiting()
        except redis.RedisError as error:
            logger.warning("what nobody has begun stays with this worker until its successor starts: %s", error)

    def wait_until_idle(self, seconds: float) -> bool:
        """Waits until no message runs and all outcomes are stored, at most `seconds`; tells whether it came to that.

        Only after `stop_taking`.
        """
        if self._here:
            self._bell.wait(seconds)
        return not self._here

    def stop(self, timeout: float) -> None:
        """Ends the threads that have nothing to do; at most `timeout` seconds for outcomes that are not stored."""
        for _ in self._runners:
            self._waiting.put(None)
        deadline = time.monotonic() + timeout
        for thread in self._runners:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._outcomes.put(None)
        self._settler.join(max(0.0, deadline - time.monotonic()))
        self._bell.stop()
        self._broker.emit_after("worker_shutdown", self)

    # --- taking ----------------------------------------------------------------------------------------------------

    def _take_all(self) -> None:
        pause, longest = AGAIN_AFTER
        self._run_suspects()
        look_at = time.monotonic() + STRAYS_SECONDS
        while not self._broker.draining.is_set():
            try:
                if time.monotonic() >= look_at:
                    self._return_strays()
                    look_at = time.monotonic() + STRAYS_SECONDS
                self._take_some()
                if pause > AGAIN_AFTER[0]:
                    logger.info("Redis is back")
                    pause = AGAIN_AFTER[0]
            except redis.RedisError as error:
                # Its answer may have been lost: what it named is with this worker, and nobody here knows of it.
                look_at = 0.0
                logger.warning("Redis gives no messages, again in %.2f s: %s", pause, error)
                self._broker.draining.wait(pause)
                pause = min(pause * 2, longest)
            except Exception:
                logger.exception("taking messages broke, again in %.1f s", longest)
                look_at = 0.0
                self._broker.draining.wait(longest)

    def _take_some(self) -> None:
        granted = self._budget.take(max(0, self._room()))
        if granted:
            taken, due_in = self._fetch(granted)
            for one in taken:
                self._accept(one)
            if len(taken) >= min(granted, MAX_BATCH):
                return
            # Nothing was left, so the bell was silenced with it: whatever comes from now on rings.
            longest = IDLE_SECONDS if self._waiting.empty() else HOARD_SECONDS
            self._bell.wait_for_messages(longest if due_in is None else min(due_in, longest))
        else:
            # Not for messages: what rings is for a worker that may take some.
            self._bell.wait(HOARD_SECONDS)
        self._give_back_hoarded()

    def _fetch(self, granted: int) -> tuple[list[Taken], float | None]:
        taken: list[Taken] = []
        try:
            taken, due_in = self._delivery.fetch(self._queues, granted, self._at_once)
        finally:
            self._budget.put_back(granted - len(taken))
        if not self._in_order:
            self._queues = (*self._queues[1:], self._queues[0])
        return taken, due_in

    def _accept(self, taken: Taken) -> None:
        with self._lock:
            running = self._here.setdefault(taken.id, taken)
            # It may have been thought lost and come back to where it still runs: this delivery is that one's.
            running.number = taken.number
        if running is taken:
            if self._waiting.empty():
                # Waits from now on, not since the last one before it began.
                self._last_begun = time.monotonic()
            self._waiting.put(taken)
        else:
            self._budget.put_back(1)

    def _room(self) -> int:
        ahead = min(MOST_AHEAD, int(self._threads * AHEAD_SECONDS / max(self._mean_run, 1e-6)))
        room = self._threads + ahead - len(self._here)
        # Asking for each single message would be most of the work; but no thread is left without.
        return room if room > ahead // 2 or self._waiting.empty() else 0

    def _give_back_hoarded(self) -> None:
        if not self._waiting.empty() and time.monotonic() - self._last_begun > HOARD_SECONDS:
            self._mean_run = 1.0
            self._give_back_waiting()

    def _give_back_waiting(self) -> None:
        waiting = list(_drained(self._waiting))
        for taken in waiting:
            self._here.pop(taken.id, None)
        self._budget.put_back(len(waiting))
        for queue, messages in by_queue(waiting).items():
            self._delivery.give_back(queue, [taken.id for taken in messages])

    def _return_strays(self) -> None:
        for queue in self._queues:
            strays = [taken.id for taken in self._delivery.held(queue) if taken.id not in self._here]
            if count := self._delivery.give_back(queue, strays):
                logger.info("gave %d messages of %s back that were taken while Redis went away", count, queue)

    def _run_suspects(self) -> None:
        for suspect in self._suspects:
            taken = self._deliver_alone(suspect)
            if taken is None and self._broker.draining.is_set():
                return
            if taken is None:
                # The limit of messages is as many as there were suspects.
                self._broker.activity.count_unrun()
                continue
            self._accept(taken)
            while taken.id in self._here:
                if self._broker.draining.is_set():
                    return
                self._bell.wait(HOARD_SECONDS)

    def _deliver_alone(self, suspect: Taken) -> Taken | None:
        pause, longest = AGAIN_AFTER
        while not self._broker.draining.is_set():
            try:
                return self._delivery.deliver_alone(suspect)
            except redis.RedisError as error:
                logger.warning("Redis does not deliver a suspect, again in %.2f s: %s", pause, error)
                self._broker.draining.wait(pause)
                pause = min(pause * 2, longest)
        return None

    # --- running ---------------------------------------------------------------------------------------------------

    def _run_all(self) -> None:
        while (taken := self._waiting.get()) is not None:
            self._last_begun = time.monotonic()
            outcome = self._runner.run(taken)
            self._mean_run += (outcome.ran - self._mean_run) * 0.1
            self._outcomes.put(outcome)

    # --- storing how they ended ------------------------------------------------------------------------------------

    def _settle_all(self) -> None:
        while (first := self._outcomes.get()) is not None:
            batch = [first, *islice(_drained(self._outcomes), MAX_BATCH - 1)]
            for queue in {outcome.taken.queue for outcome in batch}:
                self._settle_or_bury(queue, [outcome for outcome in batch if outcome.taken.queue == queue])
            self._bell.ring()

    def _settle_or_bury(self, queue: str, outcomes: list[Outcome]) -> None:
        """Stores outcomes. One that cannot be stored for a reason of its own keeps no other from being stored."""
        try:
            self._settle(queue, outcomes)
        except Exception:
            if len(outcomes) > 1:
                for outcome in outcomes:
                    self._settle_or_bury(queue, [outcome])
                return
            (outcome,) = outcomes
            logger.exception("the outcome of %s cannot be stored", outcome.taken.id)
            if outcome.actor == UNREADABLE:
                self._here.pop(outcome.taken.id, None)
            else:
                self._settle_or_bury(queue, [unreadable(outcome.taken)])

    def _settle(self, queue: str, outcomes: list[Outcome]) -> None:
        pause, longest = AGAIN_AFTER
        uncertain, bugs = False, 0
        numbers = {outcome.taken.id: outcome.taken.number for outcome in outcomes}
        while True:
            try:
                lost = self._delivery.settle(queue, outcomes)
                break
            except Exception as error:
                bugs += not isinstance(error, redis.RedisError)
                if bugs >= BUGS:
                    raise
                uncertain = True
                logger.warning(
                    "Redis did not take the outcome of %d messages, again in %.2f s: %s", len(outcomes), pause, error
                )
                time.sleep(pause)
                pause = min(pause * 2, longest)
        with self._lock:
            # What came back meanwhile to where it still ran: its outcome is for the new delivery.
            again = [one for one in outcomes if one.taken.id in lost and one.taken.number != numbers[one.taken.id]]
            for outcome in outcomes:
                if outcome not in again:
                    self._here.pop(outcome.taken.id, None)
        for outcome in again:
            self._outcomes.put(outcome)
        lost -= {outcome.taken.id for outcome in again}
        if lost and not uncertain:
            logger.warning("%d messages were no longer with this worker: %s", len(lost), ", ".join(sorted(lost)))


def _drained(queue: SimpleQueue[T | None]) -> Iterator[T]:
    """What is in a queue now, up to its end mark, which stays."""
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
