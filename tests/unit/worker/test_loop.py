"""A worker on real threads: each message once, nothing lost, nothing kept from others, whatever Redis does."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.middleware import Middleware
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.store import Delivery
from tandem.worker import loop, time_limit
from tandem.worker.loop import Worker
from tandem.worker.quota import Quota
from tandem.worker.time_limit import TimeLimit
from tests.unit.harness import FIRST, SECOND, broker_on, counted, eventually, ids, new_redis, places, send, waiting


class Harness:
    """Workers with an actor `work` that notes its messages; blocked ones do not end until they are released."""

    def __init__(self, client: FakeRedis) -> None:
        self.redis = client
        self.begun: list[str] = []
        self.done: list[str] = []
        self.gates: dict[str, Event] = {}
        self.act: Callable[[str], Any] = lambda _: None
        self._workers: list[Worker] = []

    def broker(self, name: str = FIRST, *more: Middleware) -> Broker:
        broker = broker_on(self.redis, name, *more)

        @dramatiq.actor(broker=broker, max_retries=0)
        def work(name: str) -> None:
            self.begun.append(name)
            if gate := self.gates.get(name):
                assert gate.wait(20)
            self.act(name)
            self.done.append(name)

        return broker

    def hold(self, *names: str) -> None:
        self.gates.update({name: Event() for name in names})

    def let_go(self) -> None:
        for gate in self.gates.values():
            gate.set()

    def work(
        self,
        broker: Broker,
        *,
        queues: tuple[str, ...] = ("default",),
        threads: int = 2,
        prefetch: bool = False,
        **more: Any,
    ) -> Worker:
        """Starts one. `prefetch`: it takes messages prefetch from the beginning, as after many short ones."""
        made = Worker(broker, queues=queues, threads=threads, **more)
        if prefetch:
            made._mean_run = 0.0001
        self._workers.append(made)
        made.start()
        return made

    def has_done(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.done) == count

    def leave(self, worker: Worker) -> None:
        """Stops one that has nothing to wait for."""
        self._workers.remove(worker)
        worker.stop_claiming(5)
        eventually(lambda: worker.wait_until_idle(0.1))
        worker.stop(5)

    def close(self) -> None:
        self.let_go()
        for one in list(self._workers):
            self.leave(one)


@pytest.fixture
def harness(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    monkeypatch.setattr(loop, "BACKOFF", (0.001, 0.01))
    harness = Harness(redis_)
    yield harness
    harness.close()


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an idle worker wake up, or sleep on."""
    monkeypatch.setattr(loop, "IDLE_SECONDS", 60)


def failing(times: int, call: Callable[..., Any], *, carried_out: bool = False) -> Callable[..., Any]:
    """The call, broken so often: before Redis has carried it out, or when its answer is on its way."""
    left = iter(range(times))

    def break_down(*arguments: Any, **more: Any) -> Any:
        if next(left, None) is None:
            return call(*arguments, **more)
        if carried_out:
            call(*arguments, **more)
        raise redis.ConnectionError("cut")

    return break_down


# --- running -----------------------------------------------------------------------------------------------------


def test_a_worker_fetches_once_for_each_single_message(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = harness.broker()
    fetch, asked = broker.store.claim_batch, list[object]()

    def note(*arguments: Any, **options: Any) -> Any:
        asked.append(options)
        return fetch(*arguments, **options)

    monkeypatch.setattr(broker.store, "claim_batch", note)
    harness.hold("a", "b")
    send(broker, "a")
    harness.work(broker, threads=4)
    eventually(lambda: harness.begun == ["a"])

    send(broker, "b")
    eventually(lambda: harness.begun == ["a", "b"])

    assert len(asked) == 3  # the last one waits
    harness.let_go()


def test_each_message_is_handled_once_by_whichever_worker(redis_: FakeRedis, harness: Harness) -> None:
    brokers = [harness.broker(FIRST), harness.broker(SECOND)]
    names = [str(number) for number in range(200)]
    send(brokers[0], *names[:100])
    for broker in brokers:
        harness.work(broker, threads=3)
    send(brokers[1], *names[100:])

    eventually(lambda: counted(redis_, 900) == {"work completed": 200})

    assert Counter(harness.done) == Counter(names)
    assert places(redis_) == {}
    eventually(lambda: sum(broker.in_flight.ended for broker in brokers) == 200)


def test_one_thread_handles_messages_in_their_order(harness: Harness) -> None:
    broker = harness.broker()
    names = [f"{number:02}" for number in range(30)]
    send(broker, *names)
    harness.work(broker, threads=1, prefetch=True)
    eventually(lambda: len(harness.done) == 30)
    assert harness.done == names


def test_the_first_queue_goes_first(harness: Harness) -> None:
    broker = harness.broker()
    send(broker, "low1", "low2", queue="low")
    send(broker, "high1", "high2", queue="high")
    harness.work(broker, queues=("high", "low"), threads=1)
    eventually(lambda: len(harness.done) == 4)
    assert harness.done == ["high1", "high2", "low1", "low2"]


def test_a_thread_survives_what_it_cannot_read_or_run(redis_: FakeRedis, harness: Harness) -> None:
    def act(name: str) -> None:
        if name == "exit":
            raise SystemExit

    harness.act = act
    broker = harness.broker()
    for number, payload in enumerate([b"garbage", b"null", b'{"args": [], "options": 5}']):
        broker.store.enqueue("default", f"bad{number}", payload, None)
    send(broker, "unknown", actor="nobody")
    send(broker, "exit", "good")

    harness.work(broker, threads=1)

    eventually(lambda: harness.done == ["good"])
    eventually(lambda: broker.in_flight.ended == 6)
    dead = dict.fromkeys(["bad0", "bad1", "bad2", "unknown", "exit"], "dead")
    eventually(lambda: places(redis_) == dead)


def test_a_message_is_interrupted_at_its_limit_and_its_thread_goes_on(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "INTERVAL_MS", 10)
    broker = harness.broker(FIRST, TimeLimit(time_limit=0.05))
    never = Event()

    def act(name: str) -> None:
        while name == "endless":
            never.wait(0.001)

    harness.act = act
    broker.emit_after("process_boot")
    send(broker, "endless", "next")
    harness.work(broker, threads=1)

    eventually(lambda: harness.done == ["next"])
    assert redis_.hgetall("dramatiq:default.XQ.counts") == {b"work\tTimeLimitExceeded": b"1"}


# --- taking ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_polling")
def test_an_idle_worker_wakes_by_a_notification_and_does_not_poll(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = harness.broker()
    asked: list[int] = []
    fetch = broker.store.claim_batch

    def note(queues: Any, count: int, *more: Any, **options: Any) -> Any:
        asked.append(count)
        return fetch(queues, count, *more, **options)

    monkeypatch.setattr(broker.store, "claim_batch", note)
    idle = harness.work(broker, threads=4)
    for number in range(1, 6):
        eventually(lambda: idle._pause)
        send(broker, str(number))
        eventually(harness.has_done(number))
    # Before the first wait, and once for each message.
    assert len(asked) <= 2 + 5


@pytest.mark.usefixtures("no_polling")
def test_a_delayed_message_starts_when_it_is_due(harness: Harness) -> None:
    from dramatiq.common import current_millis

    began: list[int] = []
    harness.act = lambda _: began.append(current_millis())
    broker = harness.broker()
    idle = harness.work(broker)
    eventually(lambda: idle._pause)

    sent = broker.enqueue(broker.get_actor("work").message("a"), delay=80)

    eventually(lambda: began)
    assert 0 <= began[0] - sent.options["eta"] < 2000


@pytest.mark.usefixtures("no_polling")
def test_a_retry_comes_by_itself(redis_: FakeRedis, harness: Harness) -> None:
    attempts: list[int] = []

    def act(_: str) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("no")

    harness.act = act
    broker = harness.broker()
    harness.work(broker)
    broker.get_actor("work").send_with_options(args=("a",), max_retries=2, retry_delay=20)
    eventually(lambda: counted(redis_, 60) == {"work retried": 2, "work completed": 1})
    assert len(attempts) == 3 and places(redis_) == {}


@pytest.mark.parametrize("prefetch", [False, True])
def test_exactly_as_many_messages_are_claimed_as_the_quota_allows(
    redis_: FakeRedis, harness: Harness, prefetch: bool
) -> None:
    broker = harness.broker()
    names = [f"{number:02}" for number in range(20)]
    send(broker, *names)
    one = harness.work(broker, threads=3, quota=Quota(7), prefetch=prefetch)
    eventually(lambda: broker.in_flight.ended == 7)
    harness.leave(one)
    assert sorted(harness.done) == names[:7]
    assert waiting(redis_) == names[7:]


def test_a_lost_answer_uses_no_quota_and_its_messages_are_requeued(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tandem.worker.loop")
    broker = harness.broker()
    send(broker, "a", "b", "c", "d")
    fetch = failing(2, failing(1, broker.store.claim_batch, carried_out=True))
    monkeypatch.setattr(broker.store, "claim_batch", fetch)

    harness.work(broker, threads=1, quota=Quota(3))

    eventually(lambda: counted(redis_, 60) == {"work completed": 3})
    assert harness.done == ["a", "b", "c"]
    assert waiting(redis_) == ["d"]
    assert "requeued 1 orphaned messages of default" in caplog.text


def test_orphaned_messages_are_requeued(redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ORPHANS_INTERVAL", 0.05)
    monkeypatch.setattr(loop, "IDLE_SECONDS", 0.01)
    broker = harness.broker()
    harness.work(broker)
    broker.enqueue(dramatiq.Message("default", "work", ("late",), {}, {}, message_id="late"), delay=60_000)

    # As a command does that comes to Redis when the worker has long given it up.
    assert broker.store.claim_by_id("default", "late")

    eventually(harness.has_done(1))
    eventually(lambda: places(redis_) == {})


def test_a_bug_while_taking_does_not_end_the_worker(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = harness.broker()
    fetch = broker.store.claim_batch
    bugs = iter([KeyError("a bug")])

    def break_down(*arguments: Any, **options: Any) -> Any:
        for bug in bugs:
            raise bug
        return fetch(*arguments, **options)

    monkeypatch.setattr(broker.store, "claim_batch", break_down)
    harness.work(broker)
    send(broker, "a")
    eventually(lambda: harness.done == ["a"])
    assert "claiming messages failed" in caplog.text


def test_a_delivery_of_what_still_runs_here_is_that_ones(redis_: FakeRedis, harness: Harness) -> None:
    harness.hold("a")
    broker = harness.broker()
    send(broker, "a")
    harness.work(broker, threads=2, quota=Quota(2))
    eventually(lambda: harness.begun == ["a"])

    broker.store.requeue("default", ["a"], untouched=False)  # someone thought that this worker is lost
    eventually(lambda: ids(broker.store.claimed("default")) == ["a"])
    send(broker, "b")  # what was taken twice costs once
    eventually(lambda: harness.done == ["b"])
    harness.let_go()

    eventually(lambda: counted(redis_, 60) == {"work completed": 2})
    assert harness.begun == ["a", "b"]
    assert places(redis_) == {}


def test_a_delivery_that_comes_while_the_one_before_is_stored_is_stored_as_well(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = harness.broker()
    ack = broker.store.ack
    first = iter([True])

    def overtaken(queue: str, outcomes: Any) -> Any:
        if not next(first, False):
            return ack(queue, outcomes)
        broker.store.requeue("default", ["a"], untouched=False)
        ((again,), _) = broker.store.claim_batch(("default",), 1)
        lost = ack(queue, outcomes)
        one._accept(again)
        return lost

    monkeypatch.setattr(broker.store, "ack", overtaken)
    one = harness.work(broker, threads=1, quota=Quota(1))
    send(broker, "a")
    eventually(lambda: counted(redis_, 60) == {"work completed": 1})
    assert harness.done == ["a"] and places(redis_) == {}


def test_a_message_that_another_worker_has_is_not_acknowledged_here(
    redis_: FakeRedis, harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.hold("a")
    broker, other = harness.broker(), harness.broker(SECOND)
    send(broker, "a")
    harness.work(broker, threads=1)
    eventually(lambda: harness.begun == ["a"])
    broker.store.requeue("default", ["a"], untouched=False)
    other.store.claim_batch(("default",), 1)

    harness.let_go()

    eventually(lambda: "1 messages were no longer claimed by this worker: a" in caplog.text)
    assert places(redis_) == {"a": SECOND}
    assert counted(redis_, 60) == {}


# --- storing outcomes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carried_out", [False, True])
def test_an_outcome_is_stored_again_until_redis_takes_it(
    redis_: FakeRedis,
    harness: Harness,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    carried_out: bool,
) -> None:
    broker = harness.broker()
    monkeypatch.setattr(broker.store, "ack", failing(4, broker.store.ack, carried_out=carried_out))
    send(broker, "a")
    one = harness.work(broker, threads=1)

    eventually(lambda: harness.done == ["a"] and not one._claimed)

    assert counted(redis_, 60) == {"work completed": 1}
    assert places(redis_) == {}
    assert caplog.text.count("acknowledging 1 messages failed") == 4
    assert "no longer claimed by this worker" not in caplog.text


def test_a_bug_while_storing_does_not_end_the_worker(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = harness.broker()
    ack = broker.store.ack
    bugs = iter([KeyError("a bug")])

    def break_down(*arguments: Any) -> Any:
        for bug in bugs:
            raise bug
        return ack(*arguments)

    monkeypatch.setattr(broker.store, "ack", break_down)
    send(broker, "a", "b")
    harness.work(broker, threads=1)
    eventually(lambda: counted(redis_, 60) == {"work completed": 2})
    assert "a bug" in caplog.text


def test_an_outcome_that_cannot_be_stored_keeps_no_other_from_being_stored(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = harness.broker()
    ack = broker.store.ack

    def choke(queue: str, outcomes: Any) -> Any:
        if any(outcome.delivery.id == "odd" and outcome.result == "completed" for outcome in outcomes):
            raise UnicodeEncodeError("utf-8", "odd", 0, 1, "no character")
        return ack(queue, outcomes)

    monkeypatch.setattr(broker.store, "ack", choke)
    send(broker, "a", "odd", "b")
    harness.work(broker, threads=3)
    eventually(lambda: counted(redis_, 60) == {"work completed": 2, "? failed": 1})
    assert places(redis_) == {"odd": "dead"}


@pytest.mark.parametrize("id_", [b"\xff\xfeid", "\ud83d\ude00".encode("utf-16", "surrogatepass")])
def test_an_id_of_any_bytes_is_handled_and_forgotten(harness: Harness, id_: bytes) -> None:
    client = harness.redis = new_redis()
    broker = harness.broker()
    broker.store.enqueue("default", "first", b"no message", None)
    client.hset(keys.payloads("default"), id_, dramatiq.Message("default", "work", ("x",), {}, {}).encode())
    client.rpush(keys.ready("default"), id_)

    harness.work(broker, threads=1)

    eventually(lambda: counted(client, 60) == {"work completed": 1, "? failed": 1})
    assert client.hlen(keys.payloads("default")) == 0


def test_a_name_with_a_lone_surrogate_makes_a_dead_letter(redis_: FakeRedis, harness: Harness) -> None:
    broker = harness.broker()
    broker.store.enqueue("default", "odd", dramatiq.Message("default", "\ud800", (), {}, {}).encode(), None)
    send(broker, "a")

    harness.work(broker, threads=1)

    eventually(lambda: counted(redis_, 60) == {"work completed": 1, "? failed": 1})


# --- leaving -----------------------------------------------------------------------------------------------------


def test_a_draining_worker_requeues_unstarted_messages_in_order(redis_: FakeRedis, harness: Harness) -> None:
    harness.hold("a")
    broker = harness.broker()
    send(broker, "a", "b", "c", "d")
    send(broker, "x", "y", queue="second")
    one = harness.work(broker, queues=("default", "second"), threads=1, prefetch=True)
    eventually(lambda: harness.begun == ["a"] and len(one._claimed) == 6)

    one.stop_claiming(5)

    assert waiting(redis_) == ["b", "c", "d"]
    assert waiting(redis_, "second") == ["x", "y"]
    assert places(redis_)["a"] == FIRST
    send(broker, "e")
    assert not one.wait_until_idle(0.01)
    harness.let_go()
    eventually(lambda: one.wait_until_idle(0.1))
    assert harness.done == ["a"]
    assert waiting(redis_) == ["b", "c", "d", "e"]
    ((again,), _) = broker.store.claim_batch(("default",), 1)
    assert again == Delivery("default", "b", 1, again.payload)  # its first delivery did not count


def test_without_redis_a_worker_can_leave_and_its_successor_has_what_it_had(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    harness.hold("a")
    broker = harness.broker()
    send(broker, "a", "b")
    one = harness.work(broker, threads=1, prefetch=True)
    eventually(lambda: harness.begun == ["a"] and len(one._claimed) == 2)
    monkeypatch.setattr(broker.store, "requeue", failing(99, broker.store.requeue))

    one.stop_claiming(5)
    harness.let_go()
    eventually(lambda: one.wait_until_idle(0.1))

    assert places(redis_) == {"b": FIRST}
    assert "requeueing prefetched messages failed" in caplog.text


def test_middleware_hooks_are_called_at_boot_and_shutdown(harness: Harness) -> None:
    heard: list[str] = []

    class Hearing(Middleware):
        def before_worker_boot(self, *_: Any) -> None:
            heard.append("before boot")

        def after_worker_boot(self, *_: Any) -> None:
            heard.append("after boot")

        def before_worker_shutdown(self, *_: Any) -> None:
            heard.append("before shutdown")

        def after_worker_shutdown(self, *_: Any) -> None:
            heard.append("after shutdown")

    before = set(threading.enumerate())
    one = harness.work(harness.broker(FIRST, Hearing()))
    harness.leave(one)
    assert heard == ["before boot", "after boot", "before shutdown", "after shutdown"]
    assert set(threading.enumerate()) == before


# --- for other workers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 80])
def test_messages_prefetched_after_a_long_one_are_requeued_for_other_workers(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(loop, "STALE_PREFETCH_SECONDS", 0.02)
    harness.hold("long")
    broker = harness.broker()
    names = [f"{number:02}" for number in range(count)]
    send(broker, "long", *names)
    one = harness.work(broker, threads=1, prefetch=True)
    eventually(lambda: len(one._claimed) > 5)

    eventually(lambda: waiting(redis_) == names)

    harness.work(harness.broker(SECOND), threads=1)
    eventually(lambda: harness.done == names)
    assert harness.begun == ["long", *names]


def test_messages_that_could_not_be_requeued_at_once_are_requeued_later(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STALE_PREFETCH_SECONDS", 0.02)
    harness.hold("long")
    broker = harness.broker()
    monkeypatch.setattr(broker.store, "requeue", failing(2, broker.store.requeue))
    send(broker, "long", "a", "b")
    harness.work(broker, threads=1, prefetch=True)
    eventually(lambda: waiting(redis_) == ["a", "b"])
    assert places(redis_)["long"] == FIRST


def test_freshly_claimed_messages_are_not_requeued(redis_: FakeRedis, harness: Harness) -> None:
    broker = harness.broker()
    send(broker, "a")
    one = Worker(broker, queues=("default",), threads=1)  # its threads have not woken yet
    one._accept(broker.store.claim_batch(("default",), 1)[0][0])
    one._requeue_stale()
    assert places(redis_) == {"a": FIRST}


@pytest.mark.usefixtures("no_polling")
def test_a_worker_without_quota_takes_no_notification_from_others(harness: Harness) -> None:
    harness.hold("long")
    broker, other = harness.broker(), harness.broker(SECOND)
    send(broker, "long")
    harness.work(broker, threads=2, quota=Quota(1))
    eventually(lambda: harness.begun == ["long"])
    idle = harness.work(other)
    names = [str(number) for number in range(1, 11)]
    for name in names:
        eventually(lambda: idle._pause)
        send(broker, name)
        eventually(harness.has_done(int(name)))
    assert harness.done == names


def test_a_stop_ends_the_wait_for_messages_at_once(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "IDLE_SECONDS", 60)
    idle = harness.work(harness.broker())
    eventually(lambda: idle._pause)

    harness.leave(idle)

    assert not idle._claimer.is_alive()


def test_messages_that_come_while_it_stops_are_for_other_workers(redis_: FakeRedis, harness: Harness) -> None:
    broker = harness.broker()
    send(broker, "a", "b")
    one = Worker(broker, queues=("default",), threads=2, quota=Quota(5))
    broker.draining.set()

    one._claim_some()

    assert (waiting(redis_), one._claimed, one._quota.reserve(5)) == (["a", "b"], {}, 5)


# --- quarantined messages ----------------------------------------------------------------------------------------


def quarantined(broker: Broker, *names: str) -> list[Delivery]:
    send(broker, *names)
    return broker.store.claim_batch(("default",), len(names))[0]


def test_quarantined_messages_run_one_by_one_before_any_other(redis_: FakeRedis, harness: Harness) -> None:
    broker = harness.broker()
    found = quarantined(broker, "a", "b", "c")
    send(broker, "next")
    seen: list[tuple[int, tuple[str, str] | None, str]] = []
    harness.act = lambda name: seen.append(
        (len(broker.in_flight.running()), broker.store.isolated(), places(redis_)["next"])
    )

    harness.work(broker, threads=4, quarantined=found)

    eventually(lambda: harness.done == ["a", "b", "c", "next"])
    assert seen[:3] == [(1, ("default", name), "ready") for name in "abc"]
    eventually(lambda: places(redis_) == {})


def test_quarantined_messages_run_after_an_outage_of_redis(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = harness.broker()
    found = quarantined(broker, "a", "b")
    monkeypatch.setattr(broker.store, "deliver_isolated", failing(2, broker.store.deliver_isolated))
    harness.work(broker, threads=1, quarantined=found, quota=Quota(0))
    eventually(lambda: harness.done == ["a", "b"])
    eventually(lambda: places(redis_) == {})


def test_a_missing_quarantined_message_counts_as_ended(harness: Harness) -> None:
    broker = harness.broker()
    found = quarantined(broker, "a", "b")
    broker.store.requeue("default", ["a"])
    broker.store.claim_by_id("default", "a")
    broker.store.requeue("default", ["a"])
    harness.work(broker, threads=1, quarantined=found, quota=Quota(0))
    # The process stops when as many messages have ended as were quarantined.
    eventually(lambda: broker.in_flight.ended == 2)
    assert harness.done == ["b"]


def test_a_stopping_worker_keeps_quarantined_messages_that_have_not_run(redis_: FakeRedis, harness: Harness) -> None:
    harness.hold("a")
    broker = harness.broker()
    found = quarantined(broker, "a", "b", "c")
    one = harness.work(broker, threads=1, quarantined=found, quota=Quota(0))
    eventually(lambda: harness.begun == ["a"])

    stopping = threading.Thread(target=one.stop_claiming, args=[60])
    stopping.start()
    stopping.join(5)
    assert not stopping.is_alive()  # although the quarantined message still runs
    harness.let_go()
    eventually(lambda: one.wait_until_idle(0.1))

    assert harness.done == ["a"] and broker.in_flight.ended == 1
    assert places(redis_) == {"b": FIRST, "c": FIRST}


def test_a_worker_that_stops_during_an_outage_of_redis_keeps_its_quarantined_messages(
    redis_: FakeRedis, harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = harness.broker()
    found = quarantined(broker, "a", "b")
    monkeypatch.setattr(broker.store, "deliver_isolated", failing(10**6, broker.store.deliver_isolated))
    one = harness.work(broker, threads=1, quarantined=found, quota=Quota(0))
    eventually(lambda: "delivering a quarantined message failed" in caplog.text)
    harness.leave(one)
    assert broker.in_flight.ended == 0
    assert places(redis_) == {"a": FIRST, "b": FIRST}
