"""Messages between Redis and a worker: in one place at every moment, back in order, dead at the third death."""

from __future__ import annotations

from typing import Any, cast

import dramatiq
import pytest
import redis
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed
from fakeredis import FakeRedis

from app.queueing.activity import Activity
from app.queueing.broker import Broker
from app.queueing.budget import Budget
from app.queueing.recovery import LOST_AFTER_MS, WorkerKilled, recover, tidy
from app.queueing.turns import LONGEST_WAIT, Turn

told: list[tuple[str, str]] = []


@pytest.fixture
def redis_() -> FakeRedis:
    return FakeRedis()


def worker(client: FakeRedis, name: str = "host:worker_00") -> Broker:
    broker = Broker(client, worker=name, middleware=[Activity(time_limit=60), OnFailed()])

    @dramatiq.actor(broker=broker, on_failed=lambda message, error: told.append((message.args[0], str(error))))
    def work(number: str) -> None: ...

    return broker


class OnFailed(dramatiq.Middleware):
    @property
    def actor_options(self) -> set[str]:
        return {"on_failed"}


def send(broker: Broker, count: int) -> None:
    for number in range(count):
        broker.enqueue(broker.get_actor("work").message(str(number)).copy(message_timestamp=number))


def numbers(taken: list[tuple[str, bytes]]) -> list[str]:
    return [dramatiq.Message.decode(payload).args[0] for _, payload in taken]


def waiting(broker: Broker) -> list[str]:
    """The numbers of the waiting messages, in order, without taking them."""
    client: Any = broker.client
    return numbers(
        [(id_, client.hget("dramatiq:default.msgs", id_)) for id_ in client.lrange("dramatiq:default", 0, -1)]
    )


def ids(broker: Broker) -> list[str]:
    return [message.options["redis_message_id"] for message, _ in broker.delivery.held("default")]


def test_messages_that_are_given_back_stand_in_front_in_their_order(redis_: FakeRedis) -> None:
    broker = worker(redis_)
    send(broker, 5)
    assert numbers(broker.delivery.fetch("default", 3)) == ["0", "1", "2"]

    assert broker.delivery.give_back("default", ids(broker)) == 3

    assert waiting(broker) == ["0", "1", "2", "3", "4"]
    assert broker.delivery.held("default") == []


def test_an_acknowledged_message_is_gone_and_a_second_time_tells_so(redis_: FakeRedis) -> None:
    broker = worker(redis_)
    send(broker, 1)
    broker.delivery.fetch("default", 1)
    (id_,) = ids(broker)

    assert broker.delivery.ack("default", id_)
    assert not broker.delivery.ack("default", id_)
    assert not [key for key in redis_.scan_iter() if b"heartbeats" not in key]


def test_a_worker_that_lost_its_message_cannot_settle_it(redis_: FakeRedis) -> None:
    loser, other = worker(redis_), worker(redis_, "host:worker_01")
    send(loser, 1)
    loser.delivery.fetch("default", 1)
    (id_,) = ids(loser)
    loser.delivery.give_back("default", [id_])
    other.delivery.fetch("default", 1)

    assert not loser.delivery.ack("default", id_)
    assert not loser.delivery.bury("default", id_, b"{}")
    assert len(other.delivery.held("default")) == 1


def test_a_successor_brings_back_what_the_dead_one_held(redis_: FakeRedis) -> None:
    dead, neighbour = worker(redis_), worker(redis_, "host:worker_01")
    send(dead, 5)
    dead.delivery.fetch("default", 3)
    neighbour.delivery.fetch("default", 1)

    recover(worker(redis_))

    assert waiting(dead) == ["0", "1", "2", "4"]
    assert len(neighbour.delivery.held("default")) == 1


def test_the_third_death_makes_a_dead_letter_with_the_reason(redis_: FakeRedis) -> None:
    told.clear()
    send(worker(redis_), 1)
    for death in range(3):
        assert waiting(worker(redis_)) == ["0"], death
        worker(redis_).delivery.fetch("default", 1)
        recover(worker(redis_))

    assert waiting(worker(redis_)) == []
    reason = "3 workers died while they handled this message"
    assert told == [("0", reason)]
    (payload,) = cast("list[bytes]", redis_.hvals("dramatiq:default.XQ.msgs"))
    assert dramatiq.Message.decode(payload).options["traceback"] == f"{WorkerKilled.__name__}: {reason}"
    assert redis_.zcard("dramatiq:default.XQ") == 1


def test_neighbours_of_a_deadly_message_are_not_buried_with_it_but_run_alone(redis_: FakeRedis) -> None:
    send(worker(redis_), 3)
    for death in range(2):
        worker(redis_).delivery.fetch("default", 3)
        suspects = recover(worker(redis_))
        assert suspects == (3 if death else 0)
    worker(redis_).delivery.fetch("default", 3)
    assert recover(worker(redis_)) == 3
    assert waiting(worker(redis_)) == ["0", "1", "2"]

    worker(redis_).delivery.fetch("default", 1)  # alone: it is the one
    assert recover(worker(redis_)) == 0

    assert waiting(worker(redis_)) == ["1", "2"]
    assert redis_.zcard("dramatiq:default.XQ") == 1


def test_a_message_that_cannot_be_read_becomes_a_dead_letter_as_it_is(redis_: FakeRedis) -> None:
    broker = worker(redis_)
    for id_ in ("x", "y"):
        redis_.hset("dramatiq:default.msgs", id_, "garbage")
        redis_.rpush("dramatiq:default", id_)
    send(broker, 1)
    broker.delivery.fetch("default", 1)
    assert recover(broker) == 0
    consumer = broker.consume("default", prefetch=2)
    seen = [message.args[0] for _ in range(5) if (message := next(consumer))]

    assert seen == ["0"]
    assert redis_.hgetall("dramatiq:default.XQ.msgs") == {b"x": b"garbage", b"y": b"garbage"}


def test_a_delivery_that_nobody_worked_on_does_not_count(redis_: FakeRedis) -> None:
    send(worker(redis_), 1)
    for _ in range(10):
        broker = worker(redis_)
        broker.delivery.fetch("default", 1)
        broker.delivery.give_back("default", ids(broker))
    assert waiting(worker(redis_)) == ["0"]


def test_after_a_broken_connection_what_nobody_here_knows_goes_back(redis_: FakeRedis) -> None:
    broker = worker(redis_)
    send(broker, 3)
    consumer = broker.consume("default", prefetch=1)
    assert next(consumer) is None and (known := next(consumer)) is not None
    broker.delivery.fetch("default", 1)  # carried out, but the answer was lost

    assert broker.consume("default", prefetch=1) is consumer

    assert waiting(broker) == ["1", "2"]
    assert ids(broker) == [known.options["redis_message_id"]]


def test_a_draining_consumer_gives_back_and_takes_nothing_more(redis_: FakeRedis) -> None:
    broker = worker(redis_)
    send(broker, 5)
    consumer = broker.consume("default", prefetch=4)
    assert next(consumer) is None and next(consumer) is not None
    broker.draining.set()

    assert next(consumer) is None
    assert consumer.drained.is_set()
    assert waiting(broker) == ["1", "2", "3", "4"]


def test_one_worker_leaves_at_a_time_until_its_successor_is_at_work(redis_: FakeRedis) -> None:
    first, second = (Turn(redis_, f"host:worker_0{number}") for number in range(2))
    elsewhere = Turn(redis_, "other:worker_00")

    assert first.take() and not second.take() and elsewhere.take()
    second.pass_on()
    assert not second.take()
    first.pass_on()
    assert second.take()


def test_nobody_waits_for_ever_for_the_turn(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Turn(redis_, f"host:worker_0{number}") for number in range(2))
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert first.take() and not second.take()
    now += LONGEST_WAIT + 1
    assert second.take()


def later(monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> None:
    now = current_millis() + milliseconds
    monkeypatch.setattr("app.queueing.delivery.current_millis", lambda: now)


def test_what_a_lost_worker_held_is_brought_back_by_any_other(
    redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, other = worker(redis_, "gone:worker_00"), worker(redis_, "host:worker_00")
    send(lost, 3)
    lost.delivery.fetch("default", 2)
    tidy(other)
    assert waiting(other) == ["2"]

    later(monkeypatch, LOST_AFTER_MS + 1)
    other.delivery.beat()
    tidy(other)

    assert waiting(other) == ["0", "1", "2"]
    assert redis_.zrange("dramatiq:__heartbeats__", 0, -1) == [b"host:worker_00"]


def test_a_lost_worker_is_remembered_while_it_holds_messages_of_a_queue_unknown_here(
    redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, other = worker(redis_, "gone:worker_00"), worker(redis_, "host:worker_00")
    redis_.sadd("dramatiq:__acks__.gone:worker_00.unknown", "7")
    lost.delivery.beat()
    later(monkeypatch, LOST_AFTER_MS + 1)
    tidy(other)
    assert redis_.zscore("dramatiq:__heartbeats__", "gone:worker_00")


def test_a_fetch_that_fails_costs_nothing_of_the_budget(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = worker(redis_)
    broker.budget = Budget(2)
    send(broker, 2)
    consumer = broker.consume("default", prefetch=2)

    def break_down(*_arguments: object) -> None:
        raise redis.ConnectionError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(broker.delivery, "fetch", break_down)
        for _ in range(3):
            with pytest.raises(ConnectionClosed):
                next(consumer)

    assert [message.args[0] for _ in range(4) if (message := next(consumer))] == ["0", "1"]
