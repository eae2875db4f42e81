"""Messages of workers that died: back in order, alone when suspect, dead when proved to be deadly."""

from __future__ import annotations

import json
from typing import Any

import dramatiq
import pytest
import redis
from fakeredis import FakeRedis

from app.queueing import keys, retries
from app.queueing.broker import Broker
from app.queueing.delivery import Taken
from app.queueing.recovery import bring_back, recover
from tests.unit.engine import FIRST, SECOND, broker_on, ids, outcome, places, send, waiting

REASON = "3 workers died while they handled this message"


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def worker(redis_: FakeRedis, told: list[tuple[str, str]]) -> Worker:
    return Worker(redis_, told)


class Worker:
    """A worker's name; who begins under it is its next process."""

    def __init__(self, client: FakeRedis, told: list[tuple[str, str]]) -> None:
        self.redis = client
        self.told = told

    def begin(self, name: str = FIRST) -> Broker:
        broker = broker_on(self.redis, name)

        @dramatiq.actor(broker=broker, on_failed=lambda message, error: self.told.append((message.args[0], str(error))))
        def work(name: str) -> None: ...

        return broker

    def take_and_die(self, count: int = 100, name: str = FIRST) -> list[Taken]:
        """Takes so many and dies with them; the suspects of its successor."""
        self.begin(name).delivery.fetch(("default",), count)
        return recover(self.begin(name))

    def die_with(self, suspect: Taken) -> list[Taken]:
        """Runs this suspect alone and dies with it; the suspects of its successor."""
        assert self.begin().delivery.deliver_alone(suspect)
        return recover(self.begin())


def test_a_successor_brings_back_what_the_dead_one_held_and_nothing_else(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b", "c", "d", "e")
    worker.begin().delivery.fetch(("default",), 3)
    worker.begin(SECOND).delivery.fetch(("default",), 1)

    assert recover(worker.begin()) == []

    assert waiting(redis_) == ["a", "b", "c", "e"]
    assert places(redis_)["d"] == SECOND


def test_a_death_counts_as_a_delivery(worker: Worker) -> None:
    send(worker.begin(), "a")
    worker.take_and_die()
    ((taken,), _) = worker.begin().delivery.fetch(("default",), 1)
    assert taken.number == 2


def test_what_was_with_two_dead_workers_stays_and_is_returned_to_run_alone(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b")
    assert worker.take_and_die() == []
    send(worker.begin(), "c")

    suspects = worker.take_and_die()

    assert ids(suspects) == ["a", "b"]
    assert places(redis_) == {"a": FIRST, "b": FIRST, "c": "ready"}


def test_the_third_death_alone_makes_a_dead_letter_with_the_reason(
    redis_: FakeRedis, worker: Worker, told: list[tuple[str, str]]
) -> None:
    store: Any = redis_
    send(worker.begin(), "a")
    assert worker.take_and_die() == []
    (suspect,) = worker.take_and_die()
    assert (places(redis_), told) == ({"a": FIRST}, [])

    assert worker.die_with(suspect) == []

    assert places(redis_) == {"a": "dead"}
    assert told == [("a", REASON)]
    (payload,) = store.hvals(keys.dead_payloads("default"))
    options = json.loads(payload)["options"]
    assert options["traceback"] == f"app.queueing.recovery.WorkerKilled: {REASON}\n"
    assert [attempt["error"] for attempt in options["attempts"]] == ["WorkerKilled"]
    assert store.hgetall(keys.dead_counts("default")) == {b"work\tWorkerKilled": b"1"}


def test_the_one_that_kills_alone_is_buried_and_its_neighbours_are_not(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b", "c")
    worker.take_and_die()
    first, second, _ = worker.take_and_die()
    broker = worker.begin()
    taken = broker.delivery.deliver_alone(first)
    assert taken
    broker.delivery.settle("default", [outcome(taken, "handled")])

    suspects = worker.die_with(second)

    assert ids(suspects) == ["c"]
    assert places(redis_) == {"b": "dead", "c": FIRST}


def test_many_deaths_among_others_prove_nothing(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b")
    for _ in range(5):
        broker = worker.begin()
        taken = broker.delivery.fetch(("default",), 2)[0]
        assert ids(taken) == ["a", "b"]
        broker.delivery.give_back("default", ["a", "b"], untouched=False)
    worker.begin().delivery.fetch(("default",), 2)

    assert ids(recover(worker.begin())) == ["a", "b"]
    assert set(places(redis_).values()) == {FIRST}


def test_who_ran_alone_is_forgotten_by_the_successor(worker: Worker) -> None:
    send(worker.begin(), "a", "b")
    worker.take_and_die()
    first, _ = worker.take_and_die()
    worker.begin().delivery.deliver_alone(first)
    broker = worker.begin()
    recover(broker)
    assert broker.delivery.ran_alone() is None


def test_who_waits_is_told_before_the_message_leaves_the_queue(redis_: FakeRedis, worker: Worker) -> None:
    class Looking(list[Any]):
        def append(self, item: object) -> None:
            super().append((item, places(redis_)))

    worker.told = Looking()
    send(worker.begin(), "a")
    worker.take_and_die()
    (suspect,) = worker.take_and_die()
    worker.die_with(suspect)
    assert worker.told == [(("a", REASON), {"a": FIRST})]


def test_who_waits_is_told_again_while_redis_is_away(
    redis_: FakeRedis, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "AGAIN_AFTER", (0.001, 0.002))
    refusals = iter(range(3))

    class Away(list[Any]):
        def append(self, item: object) -> None:
            if next(refusals, None) is not None:
                raise redis.ConnectionError
            super().append(item)

    worker.told = Away()
    send(worker.begin(), "a")
    worker.take_and_die()
    (suspect,) = worker.take_and_die()
    worker.die_with(suspect)
    assert worker.told == [("a", REASON)]
    assert places(redis_) == {"a": "dead"}


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ("garbage", "?\tDecodeError"),
        (dramatiq.Message("default", "nobody", (), {}, {}).encode().decode(), "nobody\tWorkerKilled"),
    ],
)
def test_a_deadly_message_that_nobody_knows_is_buried_too(
    redis_: FakeRedis, worker: Worker, payload: str, kind: str
) -> None:
    store: Any = redis_
    worker.begin().delivery.enqueue("default", "a", payload.encode(), None)
    worker.take_and_die()
    (suspect,) = worker.take_and_die()
    worker.die_with(suspect)
    assert places(redis_) == {"a": "dead"}
    assert store.hgetall(keys.dead_kinds("default")) == {b"a": kind.encode()}


def test_all_declared_queues_are_brought_back(redis_: FakeRedis, worker: Worker) -> None:
    broker = worker.begin()
    dramatiq.actor(broker=broker, queue_name="second", actor_name="other")(lambda: None)
    send(broker, "a", queue="second")
    send(broker, "b")
    broker.delivery.fetch(("default", "second"), 5)
    recover(broker)
    assert places(redis_) == {"a": "ready", "b": "ready"}


# --- lost workers ------------------------------------------------------------------------------------------------


GONE = "gone:worker_00"


def test_what_a_lost_worker_held_is_brought_back_by_any_other(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b", "c")
    worker.begin(GONE).delivery.fetch(("default",), 2)
    other = worker.begin()
    other.delivery.beat("{}")
    assert waiting(redis_) == ["c"]

    bring_back(other, [GONE])

    assert waiting(redis_) == ["a", "b", "c"]
    assert redis_.zrange(keys.HEARTBEATS, 0, -1) == [FIRST.encode()]


def test_a_lost_worker_is_remembered_while_it_holds_messages_of_a_queue_unknown_here(
    redis_: FakeRedis, worker: Worker
) -> None:
    lost = worker.begin(GONE)
    send(lost, "a", queue="unknown")
    lost.delivery.fetch(("unknown",), 1)

    bring_back(worker.begin(), [GONE])

    assert redis_.zscore(keys.HEARTBEATS, GONE)
    assert places(redis_) == {"a": GONE}


def test_a_lost_worker_that_died_of_a_message_alone_is_proof_as_well(
    redis_: FakeRedis, worker: Worker, told: list[tuple[str, str]]
) -> None:
    send(worker.begin(), "a", "b")
    worker.take_and_die()
    first, _ = worker.take_and_die()
    worker.begin().delivery.deliver_alone(first)

    bring_back(worker.begin(SECOND), [FIRST])

    assert places(redis_) == {"a": "dead", "b": "ready"}
    assert told == [("a", REASON)]
    assert not redis_.exists(keys.alone(FIRST))
