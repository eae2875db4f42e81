"""Whatever happens in whatever order: each message is in exactly one place, none is lost, and all counts are exact."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tandem.broker import keys
from tandem.broker.store import Delivery, MessageStore, Result
from tandem.testing.stopped_clock import Clock
from tests.unit.harness import FIRST, SECOND, counted, ids, new_redis, outcome, places, waiting

pytestmark = pytest.mark.slow

QUEUES = ("high", "low")
workers = st.sampled_from([FIRST, SECOND])
queues = st.sampled_from(QUEUES)


@dataclass
class Expected:
    """What should be in a queue: a second, much simpler one."""

    ready: list[str] = field(default_factory=list)
    delayed: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[str]] = field(default_factory=lambda: {FIRST: [], SECOND: []})
    dead: set[str] = field(default_factory=set)
    deliveries: Counter[str] = field(default_factory=Counter)

    def take(self, worker: str, count: int, now: int) -> list[str]:
        due = sorted((when, id_) for id_, when in self.delayed.items() if when <= now)
        delivery = [*(id_ for _, id_ in due), *self.ready][:count]
        for id_ in delivery:
            if id_ in self.delayed:
                del self.delayed[id_]
            else:
                self.ready.remove(id_)
            self.deliveries[id_] += 1
        self.held[worker] += delivery
        return delivery

    def ack(self, worker: str, id_: str, result: Result, detail: str, now: int) -> None:
        self.held[worker].remove(id_)
        del self.deliveries[id_]
        if result == "retried":
            self.delayed[id_] = now + int(detail)
        elif result == "failed":
            self.dead.add(id_)
        elif result == "snoozed":
            self.ready.insert(0 if detail == "head" else len(self.ready), id_)

    def requeue(self, worker: str, returned: list[str], untouched: bool) -> None:
        self.held[worker] = [id_ for id_ in self.held[worker] if id_ not in returned]
        self.ready[:0] = returned
        for id_ in returned:
            self.deliveries[id_] -= untouched

    @property
    def places(self) -> dict[str, str]:
        return {
            **dict.fromkeys(self.ready, "ready"),
            **dict.fromkeys(self.delayed, "delayed"),
            **dict.fromkeys(self.dead, "dead"),
            **{id_: worker for worker, held in self.held.items() for id_ in held},
        }


class Queue(RuleBasedStateMachine):
    """Two workers that claim, acknowledge, requeue and die, one of them perhaps considered lost while it is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.patch = pytest.MonkeyPatch()
        self.clock.rule(self.patch)
        self.redis = new_redis()
        self.workers = {name: MessageStore(self.redis, worker=name) for name in (FIRST, SECOND)}
        self.expected = {queue: Expected() for queue in QUEUES}
        # What each worker believes to hold: all that it was ever given and has not settled.
        self.believed: dict[str, list[Delivery]] = {FIRST: [], SECOND: []}
        self.counts: Counter[str] = Counter()
        self.paused: set[str] = set()
        self.sent = 0

    def teardown(self) -> None:
        self.patch.undo()

    @rule(queue=queues, count=st.integers(1, 4), delay=st.none() | st.integers(0, 3000))
    def send(self, queue: str, count: int, delay: int | None) -> None:
        for _ in range(count):
            id_ = f"{self.sent:03}"
            self.sent += 1
            assert self.workers[FIRST].enqueue(queue, id_, id_.encode(), delay)
            if delay is None:
                self.expected[queue].ready.append(id_)
            else:
                self.expected[queue].delayed[id_] = self.clock.milliseconds + delay

    @precondition(lambda self: self.sent)
    @rule(queue=queues, data=st.data())
    def send_again(self, queue: str, data: st.DataObject) -> None:
        expected = self.expected[queue]
        alive = sorted(id_ for id_, place in expected.places.items() if place != "dead")
        if alive:
            assert not self.workers[FIRST].enqueue(queue, data.draw(st.sampled_from(alive)), b"another", None)

    @rule(worker=workers, count=st.integers(1, 5), order=st.permutations(QUEUES))
    def fetch(self, worker: str, count: int, order: list[str]) -> None:
        expected: list[tuple[str, str, int]] = []
        for queue in order:
            if queue not in self.paused:
                delivery = self.expected[queue].take(worker, count - len(expected), self.clock.milliseconds)
                expected += [(queue, id_, self.expected[queue].deliveries[id_]) for id_ in delivery]
        seen, due_in = self.workers[worker].claim_batch(order, count)
        assert [(delivery.queue, delivery.id, delivery.delivery_count) for delivery in seen] == expected
        if len(expected) < count:
            times = [when for queue in set(QUEUES) - self.paused for when in self.expected[queue].delayed.values()]
            assert due_in == ((min(times) - self.clock.milliseconds) / 1000 if times else None)
        self.believed[worker] += seen

    @precondition(lambda self: any(self.believed.values()))
    @rule(worker=workers, data=st.data())
    def ack(self, worker: str, data: st.DataObject) -> None:
        believed = self.believed[worker]
        if not believed:
            return
        queue = data.draw(st.sampled_from(sorted({delivery.queue for delivery in believed})))
        chosen = data.draw(
            st.lists(
                st.sampled_from([delivery for delivery in believed if delivery.queue == queue]),
                min_size=1,
                unique_by=id,
            )
        )
        outcomes, lost = [], set()
        for delivery in chosen:
            result: Result = data.draw(st.sampled_from(["completed", "retried", "failed", "snoozed"]))
            detail = {"retried": "2000", "snoozed": data.draw(st.sampled_from(["head", "tail"]))}.get(result, result)
            outcomes.append(outcome(delivery, result, detail=detail))
            expected = self.expected[queue]
            if delivery.id in expected.held[worker] and expected.deliveries[delivery.id] == delivery.delivery_count:
                expected.ack(worker, delivery.id, result, detail, self.clock.milliseconds)
                self.counts[f"work {result}"] += result != "snoozed"
            else:
                lost.add(delivery.id)
            believed.remove(delivery)
        assert self.workers[worker].ack(queue, outcomes) == lost

    @rule(worker=workers, queue=queues, data=st.data())
    def requeue(self, worker: str, queue: str, data: st.DataObject) -> None:
        mine = [delivery for delivery in self.believed[worker] if delivery.queue == queue]
        if not mine:
            return
        chosen = list(dict.fromkeys(ids(data.draw(st.lists(st.sampled_from(mine), min_size=1, unique_by=id)))))
        returned = [id_ for id_ in chosen if id_ in self.expected[queue].held[worker]]
        assert self.workers[worker].requeue(queue, chosen) == len(returned)
        self.expected[queue].requeue(worker, returned, untouched=True)
        self.believed[worker] = [t for t in self.believed[worker] if t.queue != queue or t.id not in chosen]

    @rule(worker=workers, dies=st.booleans())
    def requeue_of_lost(self, worker: str, dies: bool) -> None:
        """Either its successor does it, or the worker only seemed to be dead and still believes in what it had."""
        for queue in QUEUES:
            held = ids(self.workers[worker].claimed(queue))
            assert held == self.expected[queue].held[worker]
            self.workers[worker].requeue(queue, held, untouched=False)
            self.expected[queue].requeue(worker, held, untouched=False)
        if dies:
            self.believed[worker] = []

    @rule(queue=queues)
    def pause_or_go_on(self, queue: str) -> None:
        (self.paused.remove if queue in self.paused else self.paused.add)(queue)
        self.redis.delete(keys.PAUSED)
        if self.paused:
            self.redis.sadd(keys.PAUSED, *self.paused)

    @rule(milliseconds=st.integers(1, 2000))
    def time_passes(self, milliseconds: int) -> None:
        self.clock.forward(milliseconds / 1000)

    @invariant()
    def each_message_is_in_one_place(self) -> None:
        expected = {id_: place for queue in QUEUES for id_, place in self.expected[queue].places.items()}
        assert places(self.redis) == expected
        for queue in QUEUES:
            assert waiting(self.redis, queue) == self.expected[queue].ready
            for name, worker in self.workers.items():
                assert ids(worker.claimed(queue)) == self.expected[queue].held[name]

    @invariant()
    def counts_are_exact(self) -> None:
        # Those of single seconds are forgotten after two minutes; the time of a test is below that.
        for step in (1, 60, 900):
            assert counted(self.redis, step) == +self.counts


TestQueue = Queue.TestCase
TestQueue.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
