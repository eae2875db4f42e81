"""Messages between Redis and a worker: in one place at every moment, in their order, counted once."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed
from fakeredis import FakeRedis, FakeServer

from app.queueing import delivery, keys
from app.queueing.delivery import MAX_DELAY_MS, Delivery, Result, Taken
from app.queueing.statistics import STEPS, TIMES_KEPT, bucket
from tests.unit.engine import (
    FIRST,
    SECOND,
    Clock,
    broker_on,
    counted,
    ids,
    outcome,
    places,
    waiting,
)


@pytest.fixture
def one(redis_: FakeRedis) -> Delivery:
    return Delivery(redis_, worker=FIRST)


@pytest.fixture
def other(redis_: FakeRedis) -> Delivery:
    return Delivery(redis_, worker=SECOND)


def put(worker: Delivery, *names: str, queue: str = "default", delay: int | None = None) -> None:
    for name in names:
        assert worker.enqueue(queue, name, name.encode(), delay)


def fetch(worker: Delivery, count: int = 10, queues: tuple[str, ...] = ("default",)) -> list[Taken]:
    return worker.fetch(queues, count)[0]


def bells(client: FakeRedis) -> int:
    return client.llen(keys.bell("default"))


# --- one place ---------------------------------------------------------------------------------------------------


def test_a_message_waits_until_it_is_taken(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a")
    assert places(redis_) == {"a": "ready"}

    assert fetch(one) == [Taken("default", "a", 1, b"a")]

    assert places(redis_) == {"a": FIRST}
    assert fetch(one) == []


@pytest.mark.parametrize(
    ("result", "place"),
    [("handled", None), ("retried", "delayed"), ("failed", "dead"), ("continued", "ready")],
)
def test_how_it_ended_says_where_a_message_is(redis_: FakeRedis, one: Delivery, result: Result, place: str) -> None:
    put(one, "a")
    (taken,) = fetch(one)

    assert one.settle("default", [outcome(taken, result)]) == set()

    assert places(redis_) == ({"a": place} if place else {})
    store: Any = redis_
    kept = store.hget(keys.dead_payloads("default") if place == "dead" else keys.payloads("default"), "a")
    assert kept == (b"new" if place else None)


def test_the_rest_of_a_message_waits_at_the_end_or_before_all_others(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a", "b", "c")
    first, second = fetch(one, 2)

    one.settle("default", [outcome(first, "continued"), outcome(second, "continued", detail="head")])

    assert waiting(redis_) == ["b", "c", "a"]


def test_a_retried_message_comes_again_when_its_delay_is_over(clock: Clock, one: Delivery) -> None:
    put(one, "a")
    one.settle("default", [outcome(taken, "retried", detail="1500") for taken in fetch(one)])

    clock.forward(1.499)
    assert fetch(one) == []
    clock.forward(0.001)
    assert fetch(one) == [Taken("default", "a", 1, b"new")]


def test_nothing_is_left_of_a_handled_message_but_its_counts(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a")
    one.settle("default", [outcome(taken, "handled") for taken in fetch(one)])
    fetch(one)
    left = {name.decode() for name in redis_.scan_iter() if not name.startswith((b"tandem:counts:", b"tandem:times:"))}
    assert left == {keys.HEARTBEATS, keys.QUEUES}


def test_an_id_that_is_taken_changes_nothing(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a")
    assert not one.enqueue("default", "a", b"another", None)
    fetch(one)
    assert not one.enqueue("default", "a", b"another", 5)
    assert places(redis_) == {"a": FIRST}
    assert [taken.payload for taken in one.held("default")] == [b"a"]


def test_an_id_without_a_message_is_passed_over(redis_: FakeRedis, one: Delivery) -> None:
    redis_.rpush(keys.ready("default"), "gone")
    put(one, "a")
    assert ids(fetch(one)) == ["a"]
    assert places(redis_) == {"a": FIRST}


def test_one_message_can_be_taken_wherever_it_waits(redis_: FakeRedis, one: Delivery, other: Delivery) -> None:
    put(one, "a", "b")
    put(one, "later", delay=5000)
    fetch(other, 1)

    assert one.take("default", "b") == Taken("default", "b", 1, b"b")
    assert one.take("default", "later") == Taken("default", "later", 1, b"later")
    assert one.take("default", "a") is None
    assert one.take("default", "unknown") is None
    assert places(redis_) == {"a": SECOND, "b": FIRST, "later": FIRST}


def test_what_a_stock_producer_sends_is_taken(redis_: FakeRedis, one: Delivery) -> None:
    redis_.hset(keys.payloads("default"), "a", "payload")
    redis_.rpush(keys.ready("default"), "a")
    assert fetch(one) == [Taken("default", "a", 1, b"payload")]


# --- who may settle ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("clock")
def test_what_a_worker_has_is_in_the_order_in_which_it_took_it(one: Delivery) -> None:
    put(one, "d", "c", "b", "a")
    put(one, "0")
    for _ in range(2):
        fetch(one, 2)
    one.take("default", "0")
    assert ids(one.held("default")) == ["d", "c", "b", "a", "0"]


@pytest.mark.parametrize("result", ["handled", "retried", "failed", "continued"])
def test_a_worker_that_lost_its_message_changes_and_counts_nothing(
    redis_: FakeRedis, one: Delivery, other: Delivery, result: Result
) -> None:
    put(one, "a")
    (lost,) = fetch(one)
    one.give_back("default", ["a"], untouched=False)
    assert one.settle("default", [outcome(lost, result)]) == {"a"}
    assert places(redis_) == {"a": "ready"}
    (taken,) = fetch(other)

    assert one.settle("default", [outcome(lost, result)]) == {"a"}

    assert places(redis_) == {"a": SECOND}
    assert other.held("default") == [taken] == [Taken("default", "a", 2, b"a")]
    assert counted(redis_, 60) == {}


@pytest.mark.parametrize("result", ["handled", "retried", "failed", "continued"])
def test_an_older_delivery_to_the_same_worker_changes_nothing(redis_: FakeRedis, one: Delivery, result: Result) -> None:
    put(one, "a")
    (older,) = fetch(one)
    one.give_back("default", ["a"], untouched=False)
    (newer,) = fetch(one)

    assert one.settle("default", [outcome(older, result)]) == {"a"}
    assert places(redis_) == {"a": FIRST} and counted(redis_, 60) == {}

    assert one.settle("default", [outcome(newer, "handled")]) == set()
    assert places(redis_) == {}


def test_an_outcome_is_stored_and_counted_once(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a", "b")
    first, second = fetch(one)
    both = [outcome(first, "handled"), outcome(second, "failed")]

    assert one.settle("default", both) == set()
    assert one.settle("default", both) == {"a", "b"}

    assert places(redis_) == {"b": "dead"}
    assert counted(redis_, 1) == {"work handled": 1, "work failed": 1}


# --- counts ------------------------------------------------------------------------------------------------------


def test_counts_are_exact_and_kept_for_as_long_as_they_are_asked_for(
    redis_: FakeRedis, one: Delivery, clock: Clock
) -> None:
    store: Any = redis_
    put(one, "a", "b", "c", "d", "e")
    results: list[Result] = ["handled", "handled", "retried", "failed", "continued"]
    one.settle("default", [outcome(*pair) for pair in zip(fetch(one), results, strict=True)])

    for step, kept in STEPS.items():
        key = keys.counts(step, int(clock.now) // step)
        assert store.hgetall(key) == {b"work\thandled": b"2", b"work\tretried": b"1", b"work\tfailed": b"1"}
        assert store.ttl(key) == kept
    clock.forward(1)
    put(one, "f", queue="second")
    one.settle("second", [outcome(taken, "handled", actor="play") for taken in fetch(one, queues=("second",))])
    assert counted(redis_, 900) == {"work handled": 2, "work retried": 1, "work failed": 1, "play handled": 1}
    assert store.hgetall(keys.counts(1, int(clock.now))) == {b"play\thandled": b"1"}
    clock.forward(max(STEPS.values()) + 1)
    assert not list(redis_.scan_iter(match="tandem:counts:*"))


def test_times_are_kept_as_histograms_with_their_sums(redis_: FakeRedis, one: Delivery, clock: Clock) -> None:
    store: Any = redis_
    put(one, "a", "b", "c")
    first, second, third = fetch(one)

    one.settle(
        "default",
        [
            outcome(first, "handled", waited=0.0004, ran=2.5),
            outcome(second, "failed", waited=0.1, ran=2.5),
            outcome(third, "continued", waited=100, ran=100),
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


def test_queues_are_served_in_the_order_given(redis_: FakeRedis, one: Delivery) -> None:
    for queue in ("low", "high"):
        put(one, f"{queue}1", f"{queue}2", queue=queue)

    assert ids(fetch(one, 3, ("high", "low"))) == ["high1", "high2", "low1"]

    assert places(redis_) == {"high1": FIRST, "high2": FIRST, "low1": FIRST, "low2": "ready"}
    assert [taken.queue for taken in one.held("low")] == ["low"]


def test_what_is_due_goes_before_what_is_ready_the_longest_due_first(one: Delivery, clock: Clock) -> None:
    put(one, "ready")
    put(one, "second", delay=2000)
    put(one, "first", delay=1000)
    put(one, "third", delay=3000)
    clock.forward(2)
    assert ids(fetch(one)) == ["first", "second", "ready"]


def test_not_more_are_taken_than_asked_for(redis_: FakeRedis, one: Delivery, clock: Clock) -> None:
    put(one, "due1", "due2", delay=0)
    put(one, "a", "b")
    assert ids(fetch(one, 1)) == ["due1"]
    assert ids(fetch(one, 2)) == ["due2", "a"]
    assert waiting(redis_) == ["b"]


def test_no_script_is_asked_for_more_than_it_may_take(
    redis_: FakeRedis, one: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAX_BATCH", 2)
    put(one, "a", "b", "c")
    assert ids(fetch(one, 100)) == ["a", "b"]


def test_a_paused_queue_is_passed_over_and_the_rest_goes_on(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a", queue="paused")
    put(one, "later", queue="paused", delay=5000)
    put(one, "b")
    redis_.sadd(keys.PAUSED, "paused")

    assert one.fetch(("paused", "default"), 10) == ([Taken("default", "b", 1, b"b")], None)

    redis_.srem(keys.PAUSED, "paused")
    assert ids(fetch(one, queues=("paused", "default"))) == ["a"]


def test_it_is_told_when_the_next_one_is_due(one: Delivery, clock: Clock) -> None:
    assert one.fetch(("default", "second"), 10) == ([], None)
    put(one, "a", delay=3000)
    put(one, "b", delay=2500, queue="second")
    put(one, "c", delay=9000, queue="second")
    assert one.fetch(("default", "second"), 10) == ([], 2.5)
    clock.forward(2)
    assert one.fetch(("default",), 10) == ([], 1.0)


def test_what_is_given_back_stands_in_front_in_its_order(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a", "b", "c", "d", "e")
    fetch(one, 3)

    assert one.give_back("default", ["a", "b", "c", "unknown", "d"]) == 3

    assert waiting(redis_) == ["a", "b", "c", "d", "e"]
    assert one.held("default") == []


def test_the_order_is_kept_over_several_batches(
    redis_: FakeRedis, one: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:02}" for number in range(11)]
    put(one, *names)
    fetch(one, 10)
    monkeypatch.setattr(delivery, "MAX_BATCH", 4)

    assert one.give_back("default", ids(one.held("default"))) == 10

    assert waiting(redis_) == names
    assert set(places(redis_).values()) == {"ready"}


def test_a_delivery_that_nobody_worked_on_does_not_count(one: Delivery) -> None:
    put(one, "a")
    for _ in range(5):
        assert fetch(one) == [Taken("default", "a", 1, b"a")]
        one.give_back("default", ["a"])
    fetch(one)
    one.give_back("default", ["a"], untouched=False)
    assert fetch(one) == [Taken("default", "a", 2, b"a")]


def test_what_runs_alone_is_noted_with_its_delivery(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a")
    (taken,) = fetch(one)
    assert one.ran_alone() is None

    assert one.deliver_alone(taken) == Taken("default", "a", 2, b"a")

    assert one.ran_alone() == ("default", "a")
    one.forget_alone()
    assert one.ran_alone() is None
    one.give_back("default", ["a"])
    assert one.deliver_alone(taken) is None and one.ran_alone() is None


# --- the bell ----------------------------------------------------------------------------------------------------


def test_a_message_rings_and_many_ring_no_more_than_some_times(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a")
    assert bells(redis_) == 1
    put(one, *"bcdefghijkl", delay=5000)
    assert bells(redis_) == 8


def test_the_bell_is_silenced_when_nothing_is_left(redis_: FakeRedis, one: Delivery) -> None:
    put(one, "a", "b")
    fetch(one, 1)
    assert bells(redis_) == 2
    fetch(one, 2)
    assert bells(redis_) == 0


@pytest.mark.parametrize(("count", "rings"), [(1, 1), (3, 3), (20, 8)])
def test_what_is_given_back_rings_for_as_many_workers(redis_: FakeRedis, one: Delivery, count: int, rings: int) -> None:
    names = [str(number) for number in range(count)]
    put(one, *names)
    fetch(one, count + 1)
    assert bells(redis_) == 0
    one.give_back("default", names)
    assert bells(redis_) == rings


@pytest.mark.parametrize("result", ["retried", "continued"])
def test_what_comes_back_rings(redis_: FakeRedis, one: Delivery, result: Result) -> None:
    put(one, "a")
    (taken,) = fetch(one)
    assert bells(redis_) == 0
    one.settle("default", [outcome(taken, result)])
    assert bells(redis_) == 1


# --- sending -----------------------------------------------------------------------------------------------------


def message(id_: str = "a") -> dramatiq.Message[Any]:
    return dramatiq.Message("default", "work", (), {}, {}, message_id=id_)


def test_a_message_whose_id_is_taken_gets_a_new_one_and_nothing_is_lost(redis_: FakeRedis) -> None:
    broker = broker_on(redis_)
    first, second = broker.enqueue(message()), broker.enqueue(message())

    assert first.message_id == "a" != second.message_id
    assert waiting(redis_) == ["a", second.message_id]
    taken = fetch(broker.delivery)
    assert [dramatiq.Message.decode(one.payload).message_id for one in taken] == ["a", second.message_id]


def test_a_delayed_message_waits_and_knows_for_when(redis_: FakeRedis, clock: Clock) -> None:
    broker = broker_on(redis_)
    sent = broker.enqueue(message(), delay=1500)
    assert sent.options["eta"] == clock.milliseconds + 1500
    assert places(redis_) == {"a": "delayed"}
    assert broker.delivery.fetch(("default",), 1) == ([], 1.5)


@pytest.mark.parametrize("delay", [-1, MAX_DELAY_MS + 1])
def test_a_delay_that_is_not_allowed_is_refused(redis_: FakeRedis, delay: int) -> None:
    with pytest.raises(ValueError, match=f"a delay of {delay} ms is not allowed"):
        broker_on(redis_).enqueue(message(), delay=delay)
    assert places(redis_) == {}


def test_the_longest_delay_is_a_week(redis_: FakeRedis) -> None:
    broker_on(redis_).enqueue(message(), delay=7 * 24 * 3600 * 1000)
    assert places(redis_) == {"a": "delayed"}


def test_without_redis_the_sender_is_told() -> None:
    server = FakeServer()
    broker = broker_on(FakeRedis(server=server))
    server.connected = False
    with pytest.raises(ConnectionClosed):
        broker.enqueue(message())
    server.connected = True
    broker.enqueue(message())
    assert places(broker.client) == {"a": "ready"}


# --- the other workers -------------------------------------------------------------------------------------------


def test_a_worker_is_known_by_its_sign_until_it_leaves(
    redis_: FakeRedis, one: Delivery, other: Delivery, clock: Clock
) -> None:
    one.beat('{"pid": 1}')
    assert redis_.hget(keys.WORKERS, FIRST) == b'{"pid": 1}'
    clock.forward(10)
    other.beat("{}")
    assert other.heartbeats() == {FIRST: clock.milliseconds - 10_000, SECOND: clock.milliseconds}
    one.leave()
    assert list(other.heartbeats()) == [SECOND]
    assert redis_.hkeys(keys.WORKERS) == [SECOND.encode()]


def test_a_worker_that_takes_messages_is_missed_when_it_is_silent(one: Delivery, other: Delivery) -> None:
    put(one, "a")
    fetch(one)
    assert list(other.heartbeats()) == [FIRST]


def test_a_worker_that_leaves_with_messages_is_missed_so_that_somebody_brings_them_back(
    redis_: FakeRedis, one: Delivery, other: Delivery
) -> None:
    put(one, "a")
    one.beat("{}")
    fetch(one)

    assert not one.leave()

    assert list(other.heartbeats()) == [FIRST]
    assert redis_.hkeys(keys.WORKERS) == [FIRST.encode()]
    other.of(FIRST).give_back("default", ["a"])
    assert other.of(FIRST).leave()
    assert not other.heartbeats()


def test_every_command_says_when_redis_is_away(one: Delivery) -> None:
    away = FakeServer()
    away.connected = False
    worker = Delivery(FakeRedis(server=away), worker=FIRST)
    with pytest.raises(redis.ConnectionError):
        worker.fetch(("default",), 1)
    with pytest.raises(redis.ConnectionError):
        worker.settle("default", [outcome(Taken("default", "a", 1, b"a"), "handled")])
