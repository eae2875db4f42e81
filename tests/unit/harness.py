"""Helpers for tests of the queue: a stopped clock, workers on one Redis, and the place of each message."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import dramatiq
import redis
from dramatiq.middleware import CurrentMessage
from fakeredis import FakeRedis, FakeServer

from tandem.broker import keys
from tandem.broker.broker import Binding, Broker
from tandem.broker.in_flight import InFlight
from tandem.broker.store import Delivery, Outcome, Result
from tandem.worker.retries import Retries

FIRST = "host:worker_00"
SECOND = "host:worker_01"


def new_redis() -> FakeRedis:
    """Return a new Redis."""
    return FakeRedis(server=FakeServer())


def broker_on(client: redis.Redis, name: str = FIRST, *more: dramatiq.Middleware, max_retries: int = 3) -> Broker:
    """Return a worker's broker without any actors, as from `get_broker`, except for the time limit."""
    policy = Retries(max_retries=max_retries, delay=1000, multiplier=2)
    broker = Broker(middleware=[InFlight(time_limit=60), CurrentMessage(), policy, *more])
    broker.bind(Binding(client, worker=name))
    return broker


def send(broker: Broker, *ids: str, actor: str = "work", queue: str = "default") -> None:
    """Send messages whose id is also their only argument."""
    for id_ in ids:
        broker.enqueue(dramatiq.Message(queue, actor, (id_,), {}, {}, message_id=id_))


def outcome(delivery: Delivery, result: Result, **more: Any) -> Outcome:
    """Return an outcome for ack, with the detail that its result needs."""
    details: dict[str, str] = {"retried": "1000", "failed": "work\tError", "snoozed": "tail"}
    return Outcome(delivery, result, **{"actor": "work", "payload": b"new", "detail": details.get(result, ""), **more})


def ids(messages: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in messages]


def waiting(client: redis.Redis, queue: str = "default") -> list[str]:
    """Return the ids of the ready messages, next one first."""
    return [id_.decode() for id_ in cast("list[bytes]", client.lrange(keys.ready(queue), 0, -1))]


def places(client: redis.Redis) -> dict[str, str]:
    """Return where each message is: ready, delayed, parked, dead, or the name of the worker that has claimed it.

    Fails unless each is in exactly one place, with its payload, and completed ones have left no data.
    """
    store: Any = client
    names = {name.decode() for name in store.scan_iter(count=1000)}
    found: dict[str, list[str]] = {}
    known = {keys.HEARTBEATS, keys.QUEUES, keys.PAUSED, keys.WORKERS, keys.STOP}
    for queue in [name.decode() for name in store.smembers(keys.QUEUES)]:
        alive: set[bytes] = set()

        def see(place: str, members: list[bytes], alive: set[bytes] = alive) -> None:
            alive.update(members)
            for member in members:
                found.setdefault(member.decode(), []).append(place)

        dead = store.zrange(keys.dead(queue), 0, -1)
        see("ready", store.lrange(keys.ready(queue), 0, -1))
        see("parked", [member.split(b"\t", 2)[2] for member in store.zrange(keys.parked(queue), 0, -1)])
        see("delayed", store.zrange(keys.delayed(queue), 0, -1))
        for name in names:
            if name.startswith("tandem:held:") and name.endswith(f":{queue}"):
                see(name.removeprefix("tandem:held:").removesuffix(f":{queue}"), store.zrange(name, 0, -1))
                known.add(name)
        assert set(store.hkeys(keys.payloads(queue))) == alive
        assert set(store.hkeys(keys.deliveries(queue))) <= alive
        see("dead", dead)
        assert set(store.hkeys(keys.dead_payloads(queue))) == set(dead)
        kinds = store.hgetall(keys.dead_kinds(queue))
        assert set(kinds) == set(dead)
        counts = store.hgetall(keys.dead_counts(queue))
        assert {kind: int(count) for kind, count in counts.items()} == Counter(kinds.values())
        known |= {
            name(queue)
            for name in (
                keys.ready,
                keys.payloads,
                keys.delayed,
                keys.deliveries,
                keys.parked,
                keys.lanes,
                keys.slots,
                keys.notify,
                keys.dead,
                keys.dead_payloads,
                keys.dead_kinds,
                keys.dead_counts,
            )
        }
    counted = ("counts:", "times:", "totals:", "actors:", "handled", "metric:", "series:", "restarts")
    passing = tuple(f"tandem:{name}" for name in (*counted, "alone:", "rate:", "wake:"))
    assert not {name for name in names - known if not name.startswith(passing)}
    assert not {id_: where for id_, where in found.items() if len(where) > 1}
    return {id_: where for id_, (where,) in found.items()}


def counted(client: redis.Redis, step: int) -> dict[str, int]:
    """Return the outcomes of messages, `actor result` -> count, in all time buckets of `step` seconds."""
    store: Any = client
    total: Counter[str] = Counter()
    for name in store.scan_iter(match=f"tandem:counts:{step}:*", count=1000):
        for field, count in store.hgetall(name).items():
            total[field.decode().replace("\t", " ")] += int(count)
    return dict(total)


def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.001)
