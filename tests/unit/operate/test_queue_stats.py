"""The state of queues and workers: every message is counted in one place, and overdue ones are reported."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import dramatiq
import pytest
import redis
from fakeredis import FakeRedis

from tandem.broker import keys, statistics
from tandem.broker.statistics import Counts
from tandem.operate import queue_stats
from tandem.operate.queue_stats import QueueState, RunningMessage
from tests.unit import written

WORKER = "host:worker_00"


@pytest.fixture(params=[True, False], ids=["decoding client", "client of the broker"])
def client(request: pytest.FixtureRequest) -> redis.Redis:
    return FakeRedis(decode_responses=request.param)


def state(client: redis.Redis, queue: str = "mail") -> QueueState:
    (found,) = [state for state in queue_stats.queues(client) if state.name == queue]
    return found


def test_every_message_is_counted_where_it_is(client: redis.Redis) -> None:
    for id_ in "abc":
        written.ready(client, "mail", id_)
    written.claimed(client, "mail", WORKER, "d", "e")
    written.claimed(client, "mail", "host:worker_01", "f", "g")
    for id_ in "hijkl":
        written.delayed(client, "mail", id_, due_in=60)
    written.dead(client, "mail", "m")
    written.claimed(client, "default", WORKER, "n")

    found = {queue.name: queue for queue in queue_stats.queues(client)}

    assert list(found) == ["default", "mail"]
    mail, default = found["mail"], found["default"]
    assert (mail.ready, mail.in_flight, mail.delayed, mail.failed) == (3, 4, 5, 1)
    assert (default.ready, default.in_flight, default.delayed, default.failed) == (0, 1, 0, 0)


def test_a_message_that_moves_meanwhile_is_counted_once(client: redis.Redis) -> None:
    written.ready(client, "mail", "a")
    written.claimed(client, "mail", WORKER, "b")
    over = threading.Event()

    def move() -> None:
        ready, held = keys.ready("mail"), keys.claimed(WORKER, "mail")
        while not over.is_set():
            with client.pipeline(transaction=True) as take:
                take.lpop(ready)
                take.zadd(held, {"a": 1})
                take.execute()
            with client.pipeline(transaction=True) as requeue:
                requeue.zrem(held, "a")
                requeue.rpush(ready, "a")
                requeue.execute()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        seen = {queue.ready + queue.in_flight for _ in range(200) for queue in queue_stats.queues(client)}
    finally:
        over.set()
        mover.join()

    assert seen == {2}


def test_before_anything_was_sent_there_are_no_queues(client: redis.Redis) -> None:
    assert queue_stats.queues(client) == []


def test_a_declared_queue_is_listed_before_it_is_used_and_once_when_it_is(client: redis.Redis) -> None:
    written.ready(client, "mail", "a")
    client.sadd(keys.PAUSED, "fax")

    found = queue_stats.queues(client, declared={"mail", "fax"})

    assert [(queue.name, queue.ready, queue.paused) for queue in found] == [("fax", 0, True), ("mail", 1, False)]


def test_the_age_is_that_of_the_next_message(client: redis.Redis) -> None:
    written.ready(client, "mail", "next", age=90)
    written.ready(client, "mail", "sent before it, given back after it", age=500)

    assert state(client).oldest_seconds == pytest.approx(90, abs=1)


def test_messages_that_all_wait_for_a_limit_have_an_age_and_an_actor(client: redis.Redis) -> None:
    written.ready(client, "mail", "a", age=90)
    client.lpop(keys.ready("mail"))
    client.zadd(keys.parked("mail"), {"deliver:\t1123\ta": 0})
    client.zadd(keys.lanes("mail"), {"deliver:": 1})

    found = state(client)

    assert (found.ready, found.parked) == (1, {"deliver": 1})
    assert found.oldest_seconds == pytest.approx(90, abs=1)


@pytest.mark.parametrize("payload", [None, "garbage", "[]", "{}", '{"message_timestamp": "soon"}', b"\xff"])
def test_a_message_that_cannot_be_read_has_no_age(payload: str | bytes | None) -> None:
    client = FakeRedis()
    written.ready(client, "mail", "a", age=90)
    if payload is None:
        client.hdel(keys.payloads("mail"), "a")
    else:
        client.hset(keys.payloads("mail"), "a", payload)

    assert (state(client).ready, state(client).oldest_seconds) == (1, 0)


def test_messages_in_another_format_have_an_age_where_it_is_known() -> None:
    client, encoder = FakeRedis(), dramatiq.PickleEncoder()
    written.ready(client, "mail", "a")
    sent = encoder.encode({"message_timestamp": time.time() * 1000 - 90_000, "options": {}})
    client.hset(keys.payloads("mail"), "a", cast(str, sent))

    assert state(client).oldest_seconds == 0
    (found,) = queue_stats.queues(client, decode=encoder.decode)
    assert found.oldest_seconds == pytest.approx(90, abs=1)


def test_a_message_of_a_sender_whose_clock_is_ahead_is_not_younger_than_new(client: redis.Redis) -> None:
    written.ready(client, "mail", "a", age=-90)

    assert state(client).oldest_seconds == 0


def test_delayed_messages_are_overdue_once_the_first_one_is(client: redis.Redis) -> None:
    written.delayed(client, "mail", "later", due_in=60)
    assert state(client).overdue_seconds == 0

    written.delayed(client, "mail", "due", due_in=-30)
    assert state(client).overdue_seconds == pytest.approx(30, abs=1)


def test_a_paused_queue_says_so(client: redis.Redis) -> None:
    written.ready(client, "mail", "a")
    assert not state(client).paused

    client.sadd(keys.PAUSED, "mail")
    assert state(client).paused


def test_the_cost_does_not_grow_with_the_messages(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    written.ready(client, "mail", "first")
    written.delayed(client, "mail", "first delayed", due_in=60)
    asked: list[tuple[object, ...]] = []

    def noting(execute: Callable[..., object]) -> Callable[..., object]:
        def note(self: redis.Redis, *command: object, **options: object) -> object:
            # A thread that another test has left running has its own client.
            if self.connection_pool is client.connection_pool:
                asked.append(command)
            return execute(self, *command, **options)

        return note

    for kind in (redis.Redis, redis.client.Pipeline):
        monkeypatch.setattr(kind, "execute_command", noting(kind.execute_command))
    queue_stats.queues(client)
    few = [*asked]
    for number in range(1000):
        written.ready(client, "mail", str(number))
        written.delayed(client, "mail", f"delayed {number}", due_in=60)
    asked.clear()
    queue_stats.queues(client)

    assert asked == few
    assert {str(command[0]) for command in few} == {
        *("SMEMBERS", "ZRANGE", "LLEN", "LRANGE", "ZCARD", "SISMEMBER", "HGET", "TIME"),
    }


def test_a_worker_is_described_by_its_last_heartbeat(client: redis.Redis) -> None:
    running = {"message_id": "5a", "actor": "summarize", "seconds": 3.2, "stuck": False}
    written.heartbeat(client, WORKER, age=1, running=[running], queues=["mail"], threads=2)
    written.heartbeat(client, "a:worker_00")

    other, worker = queue_stats.workers(client)

    assert other.name == "a:worker_00" and other.running == () and other.queues == ()
    assert worker.name == WORKER
    assert (worker.state, worker.pid, worker.ended, worker.memory_bytes) == ("consuming", 25, 1234, 48 * 2**20)
    assert (worker.threads, worker.queues) == (2, ("mail",))
    assert worker.uptime_seconds == pytest.approx(3600)
    assert worker.silent_seconds == pytest.approx(1, abs=1)
    assert worker.running == (RunningMessage("5a", "summarize", 3.2, False, "5a"),)


@pytest.mark.parametrize(("age", "lost"), [(0, False), (55, False), (65, True), (-30, False)])
def test_a_worker_is_lost_after_a_minute_of_silence(client: redis.Redis, age: float, lost: bool) -> None:
    written.heartbeat(client, WORKER, age=age)

    (worker,) = queue_stats.workers(client)

    assert worker.lost is lost
    assert worker.silent_seconds == pytest.approx(max(0, age), abs=1)


def test_without_workers_there_are_none(client: redis.Redis) -> None:
    written.claimed(client, "mail", "one that only sends", "a")

    assert queue_stats.workers(client) == []


def test_an_actor_is_listed_while_a_message_of_it_ended_within_a_day(client: redis.Redis) -> None:
    now = time.time()
    written.ended(client, "now", "completed", now, wait_ms=5, times=2)
    written.ended(client, "half an hour ago", "retried", now - 1800)
    written.ended(client, "yesterday", "failed", now - 80_000)
    written.ended(client, "the day before", "failed", now - 100_000)

    earlier, current, yesterday = queue_stats.actors(client)

    assert (current.name, current.minute, current.hour, current.day) == ("now", *[Counts(completed=2)] * 3)
    assert (current.wait.count, current.wait.mean_ms) == (2, 5)
    assert (earlier.name, earlier.minute, earlier.hour) == ("half an hour ago", Counts(), Counts(retried=1))
    assert (yesterday.name, yesterday.hour, yesterday.day) == ("yesterday", Counts(), Counts(failed=1))
    assert yesterday.run.count == 0


def test_under_load_a_longer_window_never_has_less_than_a_shorter_one(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = statistics.window

    def with_load(client: redis.Redis, seconds: int, now: float) -> dict[str, Counts]:
        found = window(client, seconds, now)
        written.ended(client, "busy", "completed", now)
        return found

    written.ended(client, "busy", "completed", time.time())
    monkeypatch.setattr(statistics, "window", with_load)
    (busy,) = queue_stats.actors(client)

    assert busy.minute.completed <= busy.hour.completed <= busy.day.completed
