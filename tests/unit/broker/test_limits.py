"""Limits of actors and keys: no more run or start than allowed, nobody else waits for them, and no slot is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import dramatiq
import pytest
from fakeredis import FakeRedis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tandem.broker import keys, limits
from tandem.broker.broker import Broker
from tandem.broker.limits import LimitOptions
from tandem.broker.store import Delivery, MessageStore
from tandem.broker.unique import UniqueOptions
from tandem.testing.stopped_clock import Clock
from tests.unit.harness import FIRST, SECOND, broker_on, ids, new_redis, outcome, places, waiting


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    return broker_on(redis_, FIRST, LimitOptions())


def actor(broker: Broker, name: str = "work", **options: Any) -> dramatiq.Actor[..., Any]:
    return dramatiq.actor(broker=broker, actor_name=name, **options)(lambda *_: None)


def per_customer(broker: Broker, most: int = 1) -> dramatiq.Actor[..., Any]:
    return actor(broker, max_concurrency=most, concurrency_key=lambda customer, _number: customer)


def claim(broker: Broker, count: int = 10, worker: str = FIRST) -> tuple[list[Delivery], float | None]:
    store = MessageStore(broker.client, worker=worker)
    return store.claim_batch(("default",), count, limits=limits.by_queue(broker.actors.values()))


def arguments(deliveries: list[Delivery]) -> list[Any]:
    return [dramatiq.Message.decode(delivery.payload).args for delivery in deliveries]


def end(broker: Broker, *deliveries: Delivery, worker: str = FIRST) -> None:
    store = MessageStore(broker.client, worker=worker)
    assert store.ack("default", [outcome(delivery, "completed") for delivery in deliveries]) == set()


def test_messages_of_a_key_beyond_its_limit_hold_up_nobody(broker: Broker) -> None:
    work = per_customer(broker)
    for number in range(3):
        work.send("a", number)
    work.send("b", 0)
    actor(broker, "free").send()

    assert arguments(claim(broker)[0]) == [("a", 0), ("b", 0), ()]
    assert Counter(places(cast(FakeRedis, broker.client)).values()) == {"parked": 2, FIRST: 3}


def test_an_ended_message_lets_the_next_one_of_its_key_start_in_order(broker: Broker) -> None:
    work = per_customer(broker)
    for number in range(3):
        work.send("a", number)
    found = []
    for _ in range(3):
        ((delivery,), _) = claim(broker)
        found.append(delivery)
        end(broker, delivery)

    assert arguments(found) == [("a", 0), ("a", 1), ("a", 2)]
    assert places(cast(FakeRedis, broker.client)) == {}
    assert broker.client.exists(keys.slots("default"), keys.lanes("default"), keys.parked("default")) == 0


def test_a_freed_slot_wakes_an_idle_worker(broker: Broker) -> None:
    work = per_customer(broker)
    work.send("a", 0)
    work.send("a", 1)
    (delivery,), _ = claim(broker)
    assert broker.client.llen(keys.notify("default")) == 0

    end(broker, delivery)

    assert broker.client.llen(keys.notify("default")) == 1


def test_the_slot_of_a_dead_worker_is_free_when_its_message_was_requeued(broker: Broker) -> None:
    work = per_customer(broker)
    work.send("a", 0)
    work.send("a", 1)
    (lost,), _ = claim(broker, worker=SECOND)
    assert claim(broker)[0] == []

    MessageStore(broker.client, worker=SECOND).requeue("default", [lost.id], untouched=False)

    assert arguments(claim(broker)[0]) == [("a", 0)]


def test_the_slot_of_a_message_that_is_gone_blocks_nobody_for_ever(broker: Broker, clock: Clock) -> None:
    work = per_customer(broker)
    work.send("a", 0)
    work.send("a", 1)
    (lost,), _ = claim(broker, worker=SECOND)
    claim(broker)
    store: Any = broker.client
    store.zrem(keys.claimed(SECOND, "default"), lost.id)
    store.hdel(keys.payloads("default"), lost.id)

    deliveries, due_in = claim(broker)
    assert (deliveries, due_in) == ([], 2.0)
    clock.forward(2)
    assert arguments(claim(broker)[0]) == [("a", 1)]


def test_an_actor_without_keys_has_one_limit_for_all_its_messages(broker: Broker) -> None:
    work = actor(broker, max_concurrency=2)
    for number in range(4):
        work.send(number)

    assert arguments(claim(broker)[0]) == [(0,), (1,)]
    assert claim(broker, worker=SECOND)[0] == []


def test_a_limit_also_holds_for_a_message_of_a_stock_producer(broker: Broker) -> None:
    per_customer(broker)
    for number in range(2):
        message = dramatiq.Message[Any]("default", "work", ("a", number), {}, {})
        broker.store.enqueue("default", message.message_id, message.encode(), None)

    assert arguments(claim(broker)[0]) == [("a", 0)]


def test_keys_take_turns(broker: Broker, clock: Clock) -> None:
    work = per_customer(broker, 3)
    for customer in "ab":
        for number in range(6):
            work.send(customer, number)
    running, _ = claim(broker, 6)
    assert claim(broker)[0] == []  # parks three of each
    end(broker, *running)
    seen = []
    for _ in range(3):
        clock.forward(0.001)
        seen += arguments(claim(broker, 2)[0])

    assert seen == [("a", 3), ("a", 4), ("b", 3), ("b", 4), ("a", 5), ("b", 5)]


def test_parking_many_messages_of_a_full_key_looks_at_its_slots_once(broker: Broker) -> None:
    work = per_customer(broker, 50)
    broker.enqueue_many([work.message("a", number) for number in range(350)])
    assert len(claim(broker, 50)[0]) == 50
    store: Any = broker.client
    looked = "return redis.call('GET', 'looked')"
    # The script's own command, counted: a slot that is looked at is asked for in the claimed set.
    text = str(broker.store._claim_batch.script).replace(
        "if not redis.call('ZSCORE', claimed, id) then",
        "redis.call('INCR', 'looked')\n        if not redis.call('ZSCORE', claimed, id) then",
    )
    broker.store._claim_batch = store.register_script(text)

    limited = limits.by_queue(broker.actors.values())
    assert broker.store.claim_batch(("default",), 500, limits=limited)[0] == []
    assert int(store.eval(looked, 0)) <= 2 * 50


def test_the_rate_of_an_actor_lets_so_many_start(broker: Broker, clock: Clock) -> None:
    work = actor(broker, rate="2/s")
    free = actor(broker, "free")
    for number in range(3):
        work.send(number)
    free.send("free")

    deliveries, due_in = claim(broker)
    assert (arguments(deliveries), due_in) == ([(0,), ("free",)], 0.5)
    clock.forward(0.5)
    assert arguments(claim(broker)[0]) == [(1,)]
    assert claim(broker)[0] == []


def test_each_key_has_the_rate_of_its_own(broker: Broker, clock: Clock) -> None:
    work = actor(broker, rate="1/m", rate_key=lambda customer, _number: customer)
    for customer in "ab":
        for number in range(2):
            work.send(customer, number)

    assert arguments(claim(broker)[0]) == [("a", 0), ("b", 0)]
    clock.forward(60)
    assert arguments(claim(broker)[0]) == [("a", 1), ("b", 1)]


def test_an_unusual_key_is_a_key_like_any_other(broker: Broker) -> None:
    work = per_customer(broker)
    for key in ("a\tb", "ü:\n", "x" * 900, "a\tb"):
        work.send(key, 0)

    assert arguments(claim(broker)[0]) == [("a\tb", 0), ("ü:\n", 0), ("x" * 900, 0)]


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda *_: 1 / 0, "the option concurrency_key of work failed: ZeroDivisionError: division by zero"),
        (lambda *_: "x" * 1001, "the key of work has 1,001 characters: expected at most 1,000"),
    ],
)
def test_a_key_that_cannot_be_made_stores_nothing(broker: Broker, function: Any, error: str) -> None:
    work = actor(broker, max_concurrency=1, concurrency_key=function)

    with pytest.raises(ValueError) as raised:
        work.send("a", 0)

    assert str(raised.value) == error
    assert waiting(cast(FakeRedis, broker.client)) == []


def test_a_message_that_is_given_back_goes_ahead_of_those_that_are_parked(broker: Broker) -> None:
    work = per_customer(broker)
    for number in range(3):
        work.send("a", number)
    (first,), _ = claim(broker, 1)
    claim(broker)  # parks the others
    broker.store.requeue("default", [first.id])

    assert arguments(claim(broker)[0]) == [("a", 0)]


def test_a_parked_message_whose_arguments_were_replaced_waits_for_its_new_key(redis_: FakeRedis) -> None:
    broker = broker_on(redis_, FIRST, LimitOptions(), UniqueOptions())
    work = dramatiq.actor(
        broker=broker,
        actor_name="work",
        max_concurrency=1,
        concurrency_key=lambda _document, customer: customer,
        unique=lambda document, _customer: document,
        until="start",
        on_duplicate="replace",
    )(lambda *_: None)
    work.send("d0", "a")
    work.send("d9", "b")
    running, _ = claim(broker)
    work.send("d1", "a")
    assert claim(broker)[0] == []
    work.send("d1", "b")

    of_a = [delivery for delivery in running if "a" in arguments([delivery])[0]]
    end(broker, *of_a)
    assert claim(broker)[0] == []  # d9 of b still runs
    end(broker, *(delivery for delivery in running if delivery not in of_a))
    assert arguments(claim(broker)[0]) == [("d1", "b")]


def test_what_waits_for_a_limit_that_is_gone_goes_back_into_the_queue(broker: Broker) -> None:
    work = per_customer(broker)
    for number in range(3):
        work.send("a", number)
    (first,), _ = claim(broker)

    assert broker.store.unpark("default") == 2
    assert Counter(places(cast(FakeRedis, broker.client)).values()) == {"ready": 2, FIRST: 1}
    deliveries, _ = broker.store.claim_batch(("default",), 10)
    assert arguments([first, *deliveries]) == [("a", 0), ("a", 1), ("a", 2)]


@pytest.mark.slow
def test_any_number_of_keys_wait_without_holding_up_others(broker: Broker) -> None:
    work = per_customer(broker)
    broker.enqueue_many([work.message(str(number % 700), number) for number in range(1400)])
    actor(broker, "free").send("last")
    seen: list[Any] = []
    deliveries: list[Delivery] = []
    while ("last",) not in seen:
        deliveries, due_in = claim(broker, 500)
        assert deliveries or due_in == 0
        seen += arguments(deliveries)

    assert len(seen) == 701


class Limited(RuleBasedStateMachine):
    """Two workers claim, end, requeue and die; keys have two slots each, and one actor has none."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.patch = pytest.MonkeyPatch()
        self.clock.rule(self.patch)
        self.redis = new_redis()
        self.broker = broker_on(self.redis, FIRST, LimitOptions())
        self.work = per_customer(self.broker, 2)
        self.free = actor(self.broker, "free")
        self.has: dict[str, list[Delivery]] = {FIRST: [], SECOND: []}
        self.sent = 0

    def teardown(self) -> None:
        self._drain()
        self.patch.undo()

    def _drain(self) -> None:
        """Whatever happened, all messages can run to their end."""
        for _ in range(2 * self.sent + 20):
            for worker, deliveries in self.has.items():
                end(self.broker, *deliveries, worker=worker)
                self.has[worker] = claim(self.broker, 5, worker)[0]
            self.clock.forward(2)
        assert places(self.redis) == {}

    @rule(customer=st.sampled_from("abc"), count=st.integers(1, 4), delay=st.none() | st.integers(0, 2000))
    def send(self, customer: str, count: int, delay: int | None) -> None:
        for _ in range(count):
            self.sent += 1
            self.work.send_with_options(args=(customer, self.sent), delay=delay)

    @rule()
    def send_free(self) -> None:
        self.sent += 1
        self.free.send()

    @rule(worker=st.sampled_from([FIRST, SECOND]), count=st.integers(1, 5))
    def claim(self, worker: str, count: int) -> None:
        self.has[worker] += claim(self.broker, count, worker)[0]

    @rule(worker=st.sampled_from([FIRST, SECOND]), result=st.sampled_from(["completed", "retried", "snoozed"]))
    def end_first(self, worker: str, result: Any) -> None:
        if self.has[worker]:
            delivery = self.has[worker].pop(0)
            store = MessageStore(self.redis, worker=worker)
            assert store.ack("default", [outcome(delivery, result, payload=delivery.payload)]) == set()

    @rule(worker=st.sampled_from([FIRST, SECOND]), untouched=st.booleans())
    def die(self, worker: str, untouched: bool) -> None:
        store = MessageStore(self.redis, worker=worker)
        store.requeue("default", ids(store.claimed("default")), untouched=untouched)
        self.has[worker] = []

    @rule(seconds=st.sampled_from([0.001, 1, 3]))
    def forward(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @invariant()
    def no_key_exceeds_its_limit(self) -> None:
        places(self.redis)
        running = Counter(delivery.lane for deliveries in self.has.values() for delivery in deliveries if delivery.lane)
        assert all(count <= 2 for count in running.values())


Limited.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLimited = pytest.mark.slow(Limited.TestCase)
