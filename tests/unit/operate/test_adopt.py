"""What dramatiq's own broker has left is taken over: each message once, in the place where it belongs."""

from __future__ import annotations

import time
from typing import Any, cast

import dramatiq
import pytest
from click.testing import CliRunner
from dramatiq.brokers.redis import RedisBroker
from fakeredis import FakeRedis

from tandem import runtime
from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.cli.adopt import adopt
from tandem.operate.adopt import Adoption, _error_of
from tests.unit.harness import broker_on, places


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    broker = broker_on(redis_)
    dramatiq.actor(broker=broker, actor_name="work")(lambda *_: None)
    return broker


def stock(client: FakeRedis, namespace: str) -> Any:
    """dramatiq's broker with two ready messages, two that its worker holds, one delayed and one dead letter."""
    broker = RedisBroker(client=client, namespace=namespace, middleware=[], maintenance_chance=0)
    broker.declare_queue("default")
    work = dramatiq.actor(broker=broker, actor_name="work")(lambda *_: None)
    for number in range(5):
        work.send(number)
    consumer = broker.consume("default", prefetch=3, timeout=1)
    held: list[Any] = [next(consumer) for _ in range(3)]
    held[0].options["traceback"] = "Traceback (most recent call last):\n  File …\nshop.errors.CardRefused: no money\n"
    consumer.nack(held[0])
    work.send_with_options(args=(9,), delay=60_000)
    return broker


@pytest.mark.parametrize("namespace", ["dramatiq", "other"])
def test_everything_is_taken_over_once(broker: Broker, redis_: FakeRedis, namespace: str) -> None:
    stock(redis_, namespace)
    found = Adoption(redis_, namespace)
    own = namespace == "dramatiq"
    assert sum(found.places.values()) == (4 if own else 6)
    assert list(found.run())[-1] == (4 if own else 6)
    assert Adoption(redis_, namespace).places == {}
    redis_.delete(f"{namespace}:__heartbeats__")
    where = sorted(places(redis_).values())
    assert where == ["dead", "delayed", "ready", "ready", "ready", "ready"]
    payloads = cast(Any, redis_).hgetall(keys.payloads("default"))
    assert sorted(dramatiq.Message.decode(payload).args[0] for payload in payloads.values()) == [1, 2, 3, 4, 9]
    assert cast(Any, redis_).hgetall(keys.dead_counts("default")) == {b"work\t?": b"1"}


def test_the_command_shows_what_there_is_and_asks(
    broker: Broker, redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "configure", lambda _settings: broker)
    runner = CliRunner()
    assert "nothing is left in the namespace other" in runner.invoke(adopt, ["--namespace", "other"]).output
    stock(redis_, "other")
    shown = runner.invoke(adopt, ["--namespace", "other"])
    assert shown.exit_code == 1 and "a worker of dramatiq was seen" in shown.output
    assert "default      2                2        1       1" in shown.output
    cast(Any, redis_).zadd("other:__heartbeats__", {name: (time.time() - 120) * 1000 for name in ("a",)})
    cast(Any, redis_).zremrangebyrank("other:__heartbeats__", 1, -1)
    refused = runner.invoke(adopt, ["--namespace", "other"])
    assert refused.exit_code == 1 and "use --force to proceed" in refused.output
    done = runner.invoke(adopt, ["--namespace", "other", "--force"])
    assert done.exit_code == 0 and "took over 6 messages" in done.output


@pytest.mark.parametrize(
    ("traceback", "error"),
    [("Traceback\n  x\nValueError: no\n", "ValueError"), ("a.b.Refused", "Refused"), (None, "?"), ("", "?"), (5, "5")],
)
def test_a_dead_letter_has_the_class_that_its_traceback_names(traceback: object, error: str) -> None:
    assert _error_of(traceback) == error
