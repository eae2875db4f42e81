"""Messages between Redis and a worker: in one place at every moment, in their order, counted once."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed
from fakeredis import FakeRedis, FakeServer

from tandem.broker import keys, store
from tandem.broker.statistics import STEPS, TIMES_KEPT, bucket
from tandem.broker.store import MAX_DELAY_MS, Delivery, MessageStore, Result
from tandem.testing.stopped_clock import Clock
from tests.unit.harness import FIRST, SECOND, broker_on, counted, ids, outcome, places, waiting


@pytest.fixture
def one(redis_: FakeRedis) -> MessageStore:
    return MessageStore(redis_, worker=FIRST)


@pytest.fixture
def other(redis_: FakeRedis) -> MessageStore:
    return MessageStore(redis_, worker=SECOND)


def put(worker: MessageStore, *names: str, queue: str = "default", delay: int | None = None) -> None:
    for name in names:
        assert worker.enqueue(queue, name, name.encode(), delay)


def fetch(worker: MessageStore, count: int = 10, queues: tuple[str, ...] = ("default",)) -> list[Delivery]:
    return worker.claim_batch(queues, count)[0]


def bells(client: FakeRedis) -> int:
    return client.llen(keys.notify("default"))


# --- one place ---------------------------------------------------------------------------------------------------


def test_a_message_waits_until_it_is_taken(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a")
    assert places(redis_) == {"a": "ready"}

    assert fetch(one) == [Delivery("default", "a", 1, b"a")]

    assert places(redis_) == {"a": FIRST}
    assert fetch(one) == []


@pytest.mark.parametrize(
    ("result", "place"),
    [("completed", None), ("retried", "delayed"), ("failed", "dead"), ("snoozed", "ready")],
)
def test_how_it_ended_says_where_a_message_is(redis_: FakeRedis, one: MessageStore, result: Result, place: str) -> None:
    put(one, "a")
    (delivery,) = fetch(one)

    assert one.ack("default", [outcome(delivery, result)]) == set()

    assert places(redis_) == ({"a": place} if place else {})
    store: Any = redis_
    kept = store.hget(keys.dead_payloads("default") if place == "dead" else keys.payloads("default"), "a")
    assert kept == (b"new" if place else None)


def test_the_rest_of_a_message_waits_at_the_end_or_before_all_others(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a", "b", "c")
    first, second = fetch(one, 2)

    one.ack("default", [outcome(first, "snoozed"), outcome(second, "snoozed", detail="head")])

    assert waiting(redis_) == ["b", "c", "a"]


def test_a_retried_message_comes_again_when_its_delay_is_over(clock: Clock, one: MessageStore) -> None:
    put(one, "a")
    one.ack("default", [outcome(delivery, "retried", detail="1500") for delivery in fetch(one)])

    clock.forward(1.499)
    assert fetch(one) == []
    clock.forward(0.001)
    assert fetch(one) == [Delivery("default", "a", 1, b"new")]


def test_nothing_is_left_of_a_handled_message_but_its_counts(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a")
    one.ack("default", [outcome(delivery, "completed") for delivery in fetch(one)])
    fetch(one)
    counts = (b"tandem:counts:", b"tandem:times:", b"tandem:totals:", b"tandem:actors:")
    left = {name.decode() for name in redis_.scan_iter() if not name.startswith(counts)}
    assert left == {keys.HEARTBEATS, keys.QUEUES, keys.HANDLED}


def test_an_id_that_is_taken_changes_nothing(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a")
    assert not one.enqueue("default", "a", b"another", None)
    fetch(one)
    assert not one.enqueue("default", "a", b"another", 5)
    assert places(redis_) == {"a": FIRST}
    assert [delivery.payload for delivery in one.claimed("default")] == [b"a"]


def test_an_id_without_a_message_is_passed_over(redis_: FakeRedis, one: MessageStore) -> None:
    redis_.rpush(keys.ready("default"), "gone")
    put(one, "a")
    assert ids(fetch(one)) == ["a"]
    assert places(redis_) == {"a": FIRST}


def test_one_message_can_be_taken_wherever_it_waits(redis_: FakeRedis, one: MessageStore, other: MessageStore) -> None:
    put(one, "a", "b")
    put(one, "later", delay=5000)
    fetch(other, 1)

    assert one.claim_by_id("default", "b") == Delivery("default", "b", 1, b"b")
    assert one.claim_by_id("default", "later") == Delivery("default", "later", 1, b"later")
    assert one.claim_by_id("default", "a") is None
    assert one.claim_by_id("default", "unknown") is None
    assert places(redis_) == {"a": SECOND, "b": FIRST, "later": FIRST}


def test_what_a_stock_producer_sends_is_taken(redis_: FakeRedis, one: MessageStore) -> None:
    redis_.hset(keys.payloads("default"), "a", "payload")
    redis_.rpush(keys.ready("default"), "a")
    assert fetch(one) == [Delivery("default", "a", 1, b"payload")]


# --- who may settle ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("clock")
def test_what_a_worker_has_is_in_the_order_in_which_it_took_it(one: MessageStore) -> None:
    put(one, "d", "c", "b", "a")
    put(one, "0")
    for _ in range(2):
        fetch(one, 2)
    one.claim_by_id("default", "0")
    assert ids(one.claimed("default")) == ["d", "c", "b", "a", "0"]


@pytest.mark.parametrize("result", ["completed", "retried", "failed", "snoozed"])
def test_a_worker_that_lost_its_message_changes_and_counts_nothing(
    redis_: FakeRedis, one: MessageStore, other: MessageStore, result: Result
) -> None:
    put(one, "a")
    (lost,) = fetch(one)
    one.requeue("default", ["a"], untouched=False)
    assert one.ack("default", [outcome(lost, result)]) == {"a"}
    assert places(redis_) == {"a": "ready"}
    (delivery,) = fetch(other)

    assert one.ack("default", [outcome(lost, result)]) == {"a"}

    assert places(redis_) == {"a": SECOND}
    assert other.claimed("default") == [delivery] == [Delivery("default", "a", 2, b"a")]
    assert counted(redis_, 60) == {}


@pytest.mark.parametrize("result", ["completed", "retried", "failed", "snoozed"])
def test_an_older_delivery_to_the_same_worker_changes_nothing(
    redis_: FakeRedis, one: MessageStore, result: Result
) -> None:
    put(one, "a")
    (older,) = fetch(one)
    one.requeue("default", ["a"], untouched=False)
    (newer,) = fetch(one)

    assert one.ack("default", [outcome(older, result)]) == {"a"}
    assert places(redis_) == {"a": FIRST} and counted(redis_, 60) == {}

    assert one.ack("default", [outcome(newer, "completed")]) == set()
    assert places(redis_) == {}


def test_an_outcome_is_stored_and_counted_once(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a", "b")
    first, second = fetch(one)
    both = [outcome(first, "completed"), outcome(second, "failed")]

    assert one.ack("default", both) == set()
    assert one.ack("default", both) == {"a", "b"}

    assert places(redis_) == {"b": "dead"}
    assert counted(redis_, 1) == {"work completed": 1, "work failed": 1}


# --- counts ------------------------------------------------------------------------------------------------------


def test_counts_are_exact_and_kept_for_as_long_as_they_are_asked_for(
    redis_: FakeRedis, one: MessageStore, clock: Clock
) -> None:
    store: Any = redis_
    put(one, "a", "b", "c", "d", "e")
    results: list[Result] = ["completed", "completed", "retried", "failed", "snoozed"]
    one.ack("default", [outcome(*pair) for pair in zip(fetch(one), results, strict=True)])

    for step, kept in STEPS.items():
        key = keys.counts(step, int(clock.now) // step)
        assert store.hgetall(key) == {b"work\tcompleted": b"2", b"work\tretried": b"1", b"work\tfailed": b"1"}
        assert store.ttl(key) == kept
    clock.forward(1)
    put(one, "f", queue="second")
    one.ack("second", [outcome(delivery, "completed", actor="play") for delivery in fetch(one, queues=("second",))])
    assert counted(redis_, 900) == {"work completed": 2, "work retried": 1, "work failed": 1, "play completed": 1}
    assert store.hgetall(keys.counts(1, int(clock.now))) == {b"play\tcompleted": b"1"}
    clock.forward(max(STEPS.values()) + 1)
    assert not list(redis_.scan_iter(match="tandem:counts:*"))


def test_times_are_kept_as_histograms_with_their_sums(redis_: FakeRedis, one: MessageStore, clock: Clock) -> None:
    store: Any = redis_
    put(one, "a", "b", "c")
    first, second, third = fetch(one)

    one.ack(
        "default",
        [
            outcome(first, "completed", waited=0.0004, ran=2.5),
            outcome(second, "failed", waited=0.1, ran=2.5),
            outcome(third, "snoozed", waited=100, ran=100),
        ],
    )

    key = keys.times(int(clock.now) // 60)
    assert store.hgetall(key) == {
        b"work\twait\t0": b"1",
        f"work\twait\t{bucket(100)}".encode(): b"1",
        b"work\twait\tsum": b"100400",
        f"work\trun\t{bucket(2500)}".encode(): b"2",
        b"work\trun\tsum": b"5000000",
    }
    assert store.ttl(key) == TIMES_KEPT


# --- order -------------------------------------------------------------------------------------------------------


def test_queues_are_consumed_in_the_given_order(redis_: FakeRedis, one: MessageStore) -> None:
    for queue in ("low", "high"):
        put(one, f"{queue}1", f"{queue}2", queue=queue)

    assert ids(fetch(one, 3, ("high", "low"))) == ["high1", "high2", "low1"]

    assert places(redis_) == {"high1": FIRST, "high2": FIRST, "low1": FIRST, "low2": "ready"}
    assert [delivery.queue for delivery in one.claimed("low")] == ["low"]


def test_what_is_due_goes_before_what_is_ready_the_longest_due_first(one: MessageStore, clock: Clock) -> None:
    put(one, "ready")
    put(one, "second", delay=2000)
    put(one, "first", delay=1000)
    put(one, "third", delay=3000)
    clock.forward(2)
    assert ids(fetch(one)) == ["first", "second", "ready"]


def test_not_more_are_taken_than_asked_for(redis_: FakeRedis, one: MessageStore, clock: Clock) -> None:
    put(one, "due1", "due2", delay=0)
    put(one, "a", "b")
    assert ids(fetch(one, 1)) == ["due1"]
    assert ids(fetch(one, 2)) == ["due2", "a"]
    assert waiting(redis_) == ["b"]


def test_no_script_is_asked_for_more_than_it_may_take(
    redis_: FakeRedis, one: MessageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_BATCH", 2)
    put(one, "a", "b", "c")
    assert ids(fetch(one, 100)) == ["a", "b"]


def test_a_paused_queue_is_passed_over_and_the_rest_goes_on(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a", queue="paused")
    put(one, "later", queue="paused", delay=5000)
    put(one, "b")
    redis_.sadd(keys.PAUSED, "paused")

    assert one.claim_batch(("paused", "default"), 10) == ([Delivery("default", "b", 1, b"b")], None)

    redis_.srem(keys.PAUSED, "paused")
    assert ids(fetch(one, queues=("paused", "default"))) == ["a"]


def test_the_due_time_of_the_next_message_is_returned(one: MessageStore, clock: Clock) -> None:
    assert one.claim_batch(("default", "second"), 10) == ([], None)
    put(one, "a", delay=3000)
    put(one, "b", delay=2500, queue="second")
    put(one, "c", delay=9000, queue="second")
    assert one.claim_batch(("default", "second"), 10) == ([], 2.5)
    clock.forward(2)
    assert one.claim_batch(("default",), 10) == ([], 1.0)


def test_requeued_messages_are_at_the_head_in_their_order(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a", "b", "c", "d", "e")
    fetch(one, 3)

    assert one.requeue("default", ["a", "b", "c", "unknown", "d"]) == 3

    assert waiting(redis_) == ["a", "b", "c", "d", "e"]
    assert one.claimed("default") == []


def test_the_order_is_kept_over_several_batches(
    redis_: FakeRedis, one: MessageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:02}" for number in range(11)]
    put(one, *names)
    fetch(one, 10)
    monkeypatch.setattr(store, "MAX_BATCH", 4)

    assert one.requeue("default", ids(one.claimed("default"))) == 10

    assert waiting(redis_) == names
    assert set(places(redis_).values()) == {"ready"}


def test_an_untouched_delivery_does_not_count(one: MessageStore) -> None:
    put(one, "a")
    for _ in range(5):
        assert fetch(one) == [Delivery("default", "a", 1, b"a")]
        one.requeue("default", ["a"])
    fetch(one)
    one.requeue("default", ["a"], untouched=False)
    assert fetch(one) == [Delivery("default", "a", 2, b"a")]


def test_an_isolated_run_is_noted_with_its_delivery(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a")
    (delivery,) = fetch(one)
    assert one.isolated() is None

    assert one.deliver_isolated(delivery) == Delivery("default", "a", 2, b"a")

    assert one.isolated() == ("default", "a")
    one.clear_isolated()
    assert one.isolated() is None
    one.requeue("default", ["a"])
    assert one.deliver_isolated(delivery) is None and one.isolated() is None


# --- notifications -----------------------------------------------------------------------------------------------


def test_a_message_notifies_and_many_messages_notify_a_bounded_number_of_times(
    redis_: FakeRedis, one: MessageStore
) -> None:
    put(one, "a")
    assert bells(redis_) == 1
    put(one, *"bcdefghijkl", delay=5000)
    assert bells(redis_) == 8


def test_notifications_are_cleared_when_no_message_is_left(redis_: FakeRedis, one: MessageStore) -> None:
    put(one, "a", "b")
    fetch(one, 1)
    assert bells(redis_) == 2
    fetch(one, 2)
    assert bells(redis_) == 0


@pytest.mark.parametrize(("count", "rings"), [(1, 1), (3, 3), (20, 8)])
def test_requeued_messages_notify_as_many_workers(redis_: FakeRedis, one: MessageStore, count: int, rings: int) -> None:
    names = [str(number) for number in range(count)]
    put(one, *names)
    fetch(one, count + 1)
    assert bells(redis_) == 0
    one.requeue("default", names)
    assert bells(redis_) == rings


@pytest.mark.parametrize("result", ["retried", "snoozed"])
def test_a_requeued_message_notifies(redis_: FakeRedis, one: MessageStore, result: Result) -> None:
    put(one, "a")
    (delivery,) = fetch(one)
    assert bells(redis_) == 0
    one.ack("default", [outcome(delivery, result)])
    assert bells(redis_) == 1


# --- sending -----------------------------------------------------------------------------------------------------


def message(id_: str = "a") -> dramatiq.Message[Any]:
    return dramatiq.Message("default", "work", (), {}, {}, message_id=id_)


def test_a_message_that_is_sent_twice_keeps_its_id_and_is_delivered_twice(redis_: FakeRedis) -> None:
    broker = broker_on(redis_)
    first, second = broker.enqueue(message()), broker.enqueue(message())

    assert first.message_id == second.message_id == "a"
    one, two = waiting(redis_)
    assert one == "a" and two.startswith("a+")
    delivery = fetch(broker.store)
    assert [dramatiq.Message.decode(one.payload).message_id for one in delivery] == ["a", "a"]


def test_a_delayed_message_waits_and_knows_for_when(redis_: FakeRedis, clock: Clock) -> None:
    broker = broker_on(redis_)
    sent = broker.enqueue(message(), delay=1500)
    assert sent.options["eta"] == clock.milliseconds + 1500
    assert places(redis_) == {"a": "delayed"}
    assert broker.store.claim_batch(("default",), 1) == ([], 1.5)


@pytest.mark.parametrize("delay", [-1, MAX_DELAY_MS + 1])
def test_a_delay_that_is_not_allowed_is_refused(redis_: FakeRedis, delay: int) -> None:
    with pytest.raises(ValueError, match=f"delay={delay} is invalid"):
        broker_on(redis_).enqueue(message(), delay=delay)
    assert places(redis_) == {}


def test_the_longest_delay_is_a_week(redis_: FakeRedis) -> None:
    broker_on(redis_).enqueue(message(), delay=7 * 24 * 3600 * 1000)
    assert places(redis_) == {"a": "delayed"}


def test_without_redis_the_sender_gets_an_error() -> None:
    server = FakeServer()
    broker = broker_on(FakeRedis(server=server))
    server.connected = False
    with pytest.raises(ConnectionClosed):
        broker.enqueue(message())
    server.connected = True
    broker.enqueue(message())
    assert places(broker.client) == {"a": "ready"}


# --- the other workers -------------------------------------------------------------------------------------------


def test_a_worker_is_registered_by_its_heartbeat_until_it_deregisters(
    redis_: FakeRedis, one: MessageStore, other: MessageStore, clock: Clock
) -> None:
    one.heartbeat('{"pid": 1}')
    assert redis_.hget(keys.WORKERS, FIRST) == b'{"pid": 1}'
    clock.forward(10)
    other.heartbeat("{}")
    assert other.heartbeats() == {FIRST: clock.milliseconds - 10_000, SECOND: clock.milliseconds}
    one.deregister()
    assert list(other.heartbeats()) == [SECOND]
    assert redis_.hkeys(keys.WORKERS) == [SECOND.encode()]


def test_a_worker_that_takes_messages_is_missed_when_it_is_silent(one: MessageStore, other: MessageStore) -> None:
    put(one, "a")
    fetch(one)
    assert list(other.heartbeats()) == [FIRST]


def test_a_worker_that_stops_with_claimed_messages_stays_registered(
    redis_: FakeRedis, one: MessageStore, other: MessageStore
) -> None:
    put(one, "a")
    one.heartbeat("{}")
    fetch(one)

    assert not one.deregister()

    assert list(other.heartbeats()) == [FIRST]
    assert redis_.hkeys(keys.WORKERS) == [FIRST.encode()]
    other.for_worker(FIRST).requeue("default", ["a"])
    assert other.for_worker(FIRST).deregister()
    assert not other.heartbeats()


def test_every_command_says_when_redis_is_away(one: MessageStore) -> None:
    away = FakeServer()
    away.connected = False
    worker = MessageStore(FakeRedis(server=away), worker=FIRST)
    with pytest.raises(redis.ConnectionError):
        worker.claim_batch(("default",), 1)
    with pytest.raises(redis.ConnectionError):
        worker.ack("default", [outcome(Delivery("default", "a", 1, b"a"), "completed")])
