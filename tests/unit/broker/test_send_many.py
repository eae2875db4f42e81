"""Many messages at once: all of a batch or none, each once, and delayed ones of dramatiq's own broker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import ConnectionClosed
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.groups import group
from tandem.broker.send_many import send_many
from tandem.broker.store import MAX_BATCH, MAX_DELAY_MS
from tandem.broker.unique import UniqueOptions
from tandem.testing.stopped_clock import Clock
from tests.unit.harness import FIRST, broker_on, places, waiting


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    return broker_on(redis_)


def actor(broker: Broker, queue: str = "default") -> dramatiq.Actor[..., None]:
    return dramatiq.actor(broker=broker, actor_name=f"work-{queue}", queue_name=queue)(lambda *_: None)


def arguments(broker: Broker, queue: str = "default") -> list[Any]:
    ids = waiting(broker.client, queue)
    payloads = cast(Any, broker.client).hmget(keys.payloads(queue), ids)
    return [dramatiq.Message.decode(payload).args[0] for payload in payloads]


def test_messages_arrive_in_their_order_with_one_round_trip_for_a_batch(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    enqueue = broker.store.enqueue_many
    monkeypatch.setattr(broker.store, "enqueue_many", lambda batch: (sizes.append(len(batch)), enqueue(batch))[1])  # type: ignore[func-returns-value]
    sent = send_many(actor(broker), [(number,) for number in range(1200)])
    assert sizes == [MAX_BATCH, MAX_BATCH, 200]
    assert arguments(broker) == list(range(1200))
    assert len({message.message_id for message in sent}) == 1200


def test_a_spread_makes_them_due_one_after_the_other(broker: Broker, clock: Clock) -> None:
    send_many(actor(broker), [(number,) for number in range(4)], spread=timedelta(seconds=8))
    scores: Any = broker.client.zrange(keys.delayed("default"), 0, -1, withscores=True)
    assert [score - clock.milliseconds for _, score in scores] == [0, 2000, 4000, 6000]


def test_messages_of_several_queues_go_together(broker: Broker) -> None:
    one, two = actor(broker), actor(broker, "second")
    broker.enqueue_many([one.message(1), two.message(2), one.message(3)])
    assert (arguments(broker), arguments(broker, "second")) == ([1, 3], [2])


def test_a_message_that_is_there_or_comes_twice_is_sent_once_more_under_its_id(
    broker: Broker, redis_: FakeRedis
) -> None:
    message = actor(broker).message(1)
    broker.enqueue(message)
    sent = broker.enqueue_many([message, actor_message(broker, 2), message])
    assert [one.message_id for one in sent][::2] == [message.message_id] * 2
    assert arguments(broker) == [1, 1, 2, 1]
    assert set(places(redis_).values()) == {"ready"}


def actor_message(broker: Broker, number: int) -> dramatiq.Message[Any]:
    return broker.get_actor("work-default").message(number)


def test_of_a_batch_that_redis_refuses_nothing_is_sent(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    one = actor(broker)
    batches = iter([True, False])
    enqueue = broker.store.enqueue_many

    def refuse(batch: Any) -> list[int]:
        if not next(batches):
            raise redis.ConnectionError("away")
        return enqueue(batch)

    monkeypatch.setattr(broker.store, "enqueue_many", refuse)
    with pytest.raises(ConnectionClosed):
        send_many(one, [(number,) for number in range(700)])
    assert arguments(broker) == list(range(MAX_BATCH))


@pytest.mark.parametrize("delays", [[1], [0, -1], [0, MAX_DELAY_MS + 1]])
def test_invalid_delays_send_nothing(broker: Broker, delays: list[int]) -> None:
    one = actor(broker)
    with pytest.raises(ValueError, match=r"shorter|delay="):
        broker.enqueue_many([one.message(1), one.message(2)], delays=delays)
    assert waiting(broker.client) == []


def test_hooks_are_called_for_each_message(redis_: FakeRedis) -> None:
    seen: list[tuple[Any, ...]] = []

    class Hooks(dramatiq.Middleware):
        def before_enqueue(self, _broker: Any, message: Any, delay: int | None) -> None:
            seen.append((message.args[0], delay))

    broker = broker_on(redis_, "host:worker_00", Hooks())
    one = actor(broker)
    broker.enqueue_many([one.message(1), one.message(2)], delays=[None, 5])
    assert seen == [(1, None), (2, 5)]


def test_a_signal_that_nobody_knows_calls_nobody(broker: Broker) -> None:
    broker.emit_before("process_stop")
    broker.emit_after("nothing_of_this_name", 5)


def test_an_actor_of_another_broker_is_refused() -> None:
    other = dramatiq.actor(broker=StubBroker(), actor_name="other")(lambda: None)
    with pytest.raises(TypeError, match="the actor other belongs to another broker: StubBroker"):
        send_many(other, [()])


# --- delayed messages of dramatiq's own broker -------------------------------------------------------------------


def test_a_delayed_message_of_a_stock_producer_is_taken_over_when_it_is_due(
    broker: Broker, redis_: FakeRedis, clock: Clock
) -> None:
    own = actor(broker)
    stock = RedisBroker(client=redis_, middleware=[])
    stock.declare_queue("default")
    stock.enqueue(own.message(7), delay=60_000)
    assert broker.store.adopt_delayed("default") == 1
    assert broker.store.adopt_delayed("default") == 0
    assert broker.store.claim_batch(("default",), 1) == ([], 60.0)
    clock.forward(60)
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    message = dramatiq.Message.decode(delivery.payload)
    assert (message.args, message.queue_name) == ((7,), "default")
    assert not cast(Any, redis_).exists(keys.stock_delayed("default"), keys.stock_delayed_payloads("default"))


def test_what_cannot_be_decoded_is_due_at_once(broker: Broker, redis_: FakeRedis) -> None:
    actor(broker)
    redis_.rpush(keys.stock_delayed("default"), "a")
    redis_.hset(keys.stock_delayed_payloads("default"), "a", "garbage")
    assert broker.store.adopt_delayed("default") == 1
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    assert delivery.payload == b"garbage"


def test_a_group_is_sent_in_one_round_trip_with_its_pipelines_and_groups(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = actor(broker)
    batches: list[int] = []
    enqueue = broker.store.enqueue_many
    monkeypatch.setattr(broker.store, "enqueue_many", lambda batch: (batches.append(len(batch)), enqueue(batch))[1])  # type: ignore[func-returns-value]
    monkeypatch.setattr(broker.store, "enqueue", lambda *_: pytest.fail("a message was sent by itself"))

    inner = group([work.message(3), work.message(4)], broker=broker)
    group(
        [work.message(1), dramatiq.pipeline([work.message(2), work.message(0)], broker=broker), inner], broker=broker
    ).run()

    assert (batches, arguments(broker)) == ([4], [1, 2, 3, 4])


def test_a_group_that_cannot_be_sent_leaves_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    work = actor(broker)

    with pytest.raises(ValueError, match="delay=-1 is invalid"):
        group([work.message(1), work.message(2)], broker=broker).run(delay=-1)

    work.send(3)
    assert arguments(broker) == [3]


def test_unique_messages_of_a_group_are_sent_once(redis_: FakeRedis) -> None:
    broker = broker_on(redis_, FIRST, UniqueOptions())
    work = dramatiq.actor(broker=broker, actor_name="work", unique=True)(lambda *_: None)
    group([work.message(1), work.message(1), work.message(2)], broker=broker).run()
    assert arguments(broker) == [1, 2]


def test_a_group_of_another_broker_is_refused() -> None:
    stub = StubBroker()
    work = actor(cast(Broker, stub))
    with pytest.raises(TypeError, match="the group belongs to another broker: StubBroker"):
        group([work.message(1)], broker=stub).run()


def test_an_actor_sends_many_itself(broker: Broker) -> None:
    cast(Any, actor(broker)).send_many([(1,), (2,)])
    assert arguments(broker) == [1, 2]
