"""Messages of dead workers: requeued in order, isolated when quarantined, dead-lettered when proven poisonous."""

from __future__ import annotations

import json
from typing import Any

import dramatiq
import pytest
import redis
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.store import Delivery
from tandem.worker import attempt
from tandem.worker.recovery import recover, requeue_of_lost
from tests.unit.harness import FIRST, SECOND, broker_on, ids, outcome, places, send, waiting

REASON = "3 workers died while they handled this message"


@pytest.fixture
def notified() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def worker(redis_: FakeRedis, notified: list[tuple[str, str]]) -> Worker:
    return Worker(redis_, notified)


class Worker:
    """A worker's name; who begins under it is its next process."""

    def __init__(self, client: FakeRedis, notified: list[tuple[str, str]]) -> None:
        self.redis = client
        self.notified = notified

    def begin(self, name: str = FIRST) -> Broker:
        broker = broker_on(self.redis, name)

        @dramatiq.actor(
            broker=broker, on_failed=lambda message, error: self.notified.append((message.args[0], str(error)))
        )
        def work(name: str) -> None: ...

        return broker

    def take_and_die(self, count: int = 100, name: str = FIRST) -> list[Delivery]:
        """Claim `count` messages and die with them; return the messages that its successor quarantines."""
        self.begin(name).store.claim_batch(("default",), count)
        return recover(self.begin(name))

    def die_with(self, quarantined_message: Delivery) -> list[Delivery]:
        """Run this message isolated and die with it; return the messages that its successor quarantines."""
        assert self.begin().store.deliver_isolated(quarantined_message)
        return recover(self.begin())


def test_a_successor_requeues_the_messages_of_its_predecessor_only(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b", "c", "d", "e")
    worker.begin().store.claim_batch(("default",), 3)
    worker.begin(SECOND).store.claim_batch(("default",), 1)

    assert recover(worker.begin()) == []

    assert waiting(redis_) == ["a", "b", "c", "e"]
    assert places(redis_)["d"] == SECOND


def test_a_death_counts_as_a_delivery(worker: Worker) -> None:
    send(worker.begin(), "a")
    worker.take_and_die()
    ((delivery,), _) = worker.begin().store.claim_batch(("default",), 1)
    assert delivery.delivery_count == 2


def test_a_message_of_two_dead_workers_is_quarantined(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b")
    assert worker.take_and_die() == []
    send(worker.begin(), "c")

    quarantined = worker.take_and_die()

    assert ids(quarantined) == ["a", "b"]
    assert places(redis_) == {"a": FIRST, "b": FIRST, "c": "ready"}


def test_only_the_third_death_makes_a_dead_letter_with_the_reason(
    redis_: FakeRedis, worker: Worker, notified: list[tuple[str, str]]
) -> None:
    store: Any = redis_
    send(worker.begin(), "a")
    assert worker.take_and_die() == []
    (quarantined_message,) = worker.take_and_die()
    assert (places(redis_), notified) == ({"a": FIRST}, [])

    assert worker.die_with(quarantined_message) == []

    assert places(redis_) == {"a": "dead"}
    assert notified == [("a", REASON)]
    (payload,) = store.hvals(keys.dead_payloads("default"))
    options = json.loads(payload)["options"]
    assert options["traceback"] == f"tandem.worker.recovery.WorkerKilled: {REASON}\n"
    assert [attempt["error"] for attempt in options["attempts"]] == ["WorkerKilled"]
    assert store.hgetall(keys.dead_counts("default")) == {b"work\tWorkerKilled": b"1"}


def test_only_the_message_that_kills_in_an_isolated_run_is_dead_lettered(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b", "c")
    worker.take_and_die()
    first, second, _ = worker.take_and_die()
    broker = worker.begin()
    delivery = broker.store.deliver_isolated(first)
    assert delivery
    broker.store.ack("default", [outcome(delivery, "completed")])

    quarantined = worker.die_with(second)

    assert ids(quarantined) == ["c"]
    assert places(redis_) == {"b": "dead", "c": FIRST}


def test_many_deaths_in_shared_runs_prove_nothing(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b")
    for _ in range(5):
        broker = worker.begin()
        delivery = broker.store.claim_batch(("default",), 2)[0]
        assert ids(delivery) == ["a", "b"]
        broker.store.requeue("default", ["a", "b"], untouched=False)
    worker.begin().store.claim_batch(("default",), 2)

    assert ids(recover(worker.begin())) == ["a", "b"]
    assert set(places(redis_).values()) == {FIRST}


def test_the_successor_clears_the_isolated_run(worker: Worker) -> None:
    send(worker.begin(), "a", "b")
    worker.take_and_die()
    first, _ = worker.take_and_die()
    worker.begin().store.deliver_isolated(first)
    broker = worker.begin()
    recover(broker)
    assert broker.store.isolated() is None


def test_on_failed_is_called_before_the_message_leaves_the_queue(redis_: FakeRedis, worker: Worker) -> None:
    class Looking(list[Any]):
        def append(self, item: object) -> None:
            super().append((item, places(redis_)))

    worker.notified = Looking()
    send(worker.begin(), "a")
    worker.take_and_die()
    (quarantined_message,) = worker.take_and_die()
    worker.die_with(quarantined_message)
    assert worker.notified == [(("a", REASON), {"a": FIRST})]


def test_on_failed_is_called_again_while_redis_is_unavailable(
    redis_: FakeRedis, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "BACKOFF", (0.001, 0.002))
    refusals = iter(range(3))

    class Away(list[Any]):
        def append(self, item: object) -> None:
            if next(refusals, None) is not None:
                raise redis.ConnectionError
            super().append(item)

    worker.notified = Away()
    send(worker.begin(), "a")
    worker.take_and_die()
    (quarantined_message,) = worker.take_and_die()
    worker.die_with(quarantined_message)
    assert worker.notified == [("a", REASON)]
    assert places(redis_) == {"a": "dead"}


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ("garbage", "?\tDecodeError"),
        (dramatiq.Message("default", "nobody", (), {}, {}).encode().decode(), "nobody\tWorkerKilled"),
    ],
)
def test_a_poison_message_of_an_unknown_actor_is_dead_lettered_too(
    redis_: FakeRedis, worker: Worker, payload: str, kind: str
) -> None:
    store: Any = redis_
    worker.begin().store.enqueue("default", "a", payload.encode(), None)
    worker.take_and_die()
    (quarantined_message,) = worker.take_and_die()
    worker.die_with(quarantined_message)
    assert places(redis_) == {"a": "dead"}
    assert store.hgetall(keys.dead_kinds("default")) == {b"a": kind.encode()}


def test_messages_of_all_declared_queues_are_requeued(redis_: FakeRedis, worker: Worker) -> None:
    broker = worker.begin()
    dramatiq.actor(broker=broker, queue_name="second", actor_name="other")(lambda: None)
    send(broker, "a", queue="second")
    send(broker, "b")
    broker.store.claim_batch(("default", "second"), 5)
    recover(broker)
    assert places(redis_) == {"a": "ready", "b": "ready"}


# --- lost workers ------------------------------------------------------------------------------------------------


GONE = "gone:worker_00"


def test_messages_of_a_lost_worker_are_requeued_by_any_other(redis_: FakeRedis, worker: Worker) -> None:
    send(worker.begin(), "a", "b", "c")
    worker.begin(GONE).store.claim_batch(("default",), 2)
    other = worker.begin()
    other.store.heartbeat("{}")
    assert waiting(redis_) == ["c"]

    requeue_of_lost(other, [GONE])

    assert waiting(redis_) == ["a", "b", "c"]
    assert redis_.zrange(keys.HEARTBEATS, 0, -1) == [FIRST.encode()]


def test_a_lost_worker_stays_registered_while_it_has_claimed_messages_of_an_unknown_queue(
    redis_: FakeRedis, worker: Worker
) -> None:
    lost = worker.begin(GONE)
    send(lost, "a", queue="unknown")
    lost.store.claim_batch(("unknown",), 1)

    requeue_of_lost(worker.begin(), [GONE])

    assert redis_.zscore(keys.HEARTBEATS, GONE)
    assert places(redis_) == {"a": GONE}


def test_a_lost_worker_that_died_in_an_isolated_run_is_proof_as_well(
    redis_: FakeRedis, worker: Worker, notified: list[tuple[str, str]]
) -> None:
    send(worker.begin(), "a", "b")
    worker.take_and_die()
    first, _ = worker.take_and_die()
    worker.begin().store.deliver_isolated(first)

    requeue_of_lost(worker.begin(SECOND), [FIRST])

    assert places(redis_) == {"a": "dead", "b": "ready"}
    assert notified == [("a", REASON)]
    assert not redis_.exists(keys.isolated(FIRST))
