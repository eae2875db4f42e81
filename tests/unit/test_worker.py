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

from app.queueing import keys, time_limit, worker
from app.queueing.broker import Broker
from app.queueing.budget import Budget
from app.queueing.delivery import Taken
from app.queueing.time_limit import TimeLimit
from app.queueing.worker import Worker
from tests.unit.engine import FIRST, SECOND, broker_on, counted, eventually, ids, new_redis, places, send, waiting


class Bench:
    """Workers with an actor `work` that notes its messages; those that are held do not end until they are let go."""

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
        ahead: bool = False,
        **more: Any,
    ) -> Worker:
        """Starts one. `ahead`: it takes messages ahead from the beginning, as after many short ones."""
        made = Worker(broker, queues=queues, threads=threads, **more)
        if ahead:
            made._mean_run = 0.0001
        self._workers.append(made)
        made.start()
        return made

    def has_done(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.done) == count

    def leave(self, worker: Worker) -> None:
        """Stops one that has nothing to wait for."""
        self._workers.remove(worker)
        worker.stop_taking(5)
        eventually(lambda: worker.wait_until_idle(0.1))
        worker.stop(5)

    def close(self) -> None:
        self.let_go()
        for one in list(self._workers):
            self.leave(one)


@pytest.fixture
def bench(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(worker, "AGAIN_AFTER", (0.001, 0.01))
    bench = Bench(redis_)
    yield bench
    bench.close()


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle worker hears its bell, or sleeps on."""
    monkeypatch.setattr(worker, "IDLE_SECONDS", 60)


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


def test_a_worker_asks_once_for_each_message_that_comes_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = bench.broker()
    fetch, asked = broker.delivery.fetch, []
    monkeypatch.setattr(broker.delivery, "fetch", lambda *args: (asked.append(args), fetch(*args))[1])  # type: ignore[func-returns-value]
    bench.hold("a", "b")
    send(broker, "a")
    bench.work(broker, threads=4)
    eventually(lambda: bench.begun == ["a"])

    send(broker, "b")
    eventually(lambda: bench.begun == ["a", "b"])

    assert len(asked) == 2
    bench.let_go()


def test_each_message_is_handled_once_by_whichever_worker(redis_: FakeRedis, bench: Bench) -> None:
    brokers = [bench.broker(FIRST), bench.broker(SECOND)]
    names = [str(number) for number in range(200)]
    send(brokers[0], *names[:100])
    for broker in brokers:
        bench.work(broker, threads=3)
    send(brokers[1], *names[100:])

    eventually(lambda: counted(redis_, 900) == {"work handled": 200})

    assert Counter(bench.done) == Counter(names)
    assert places(redis_) == {}
    eventually(lambda: sum(broker.activity.ended for broker in brokers) == 200)


def test_one_thread_handles_messages_in_their_order(bench: Bench) -> None:
    broker = bench.broker()
    names = [f"{number:02}" for number in range(30)]
    send(broker, *names)
    bench.work(broker, threads=1, ahead=True)
    eventually(lambda: len(bench.done) == 30)
    assert bench.done == names


def test_the_first_queue_goes_first(bench: Bench) -> None:
    broker = bench.broker()
    send(broker, "low1", "low2", queue="low")
    send(broker, "high1", "high2", queue="high")
    bench.work(broker, queues=("high", "low"), threads=1)
    eventually(lambda: len(bench.done) == 4)
    assert bench.done == ["high1", "high2", "low1", "low2"]


def test_a_thread_survives_what_it_cannot_read_or_run(redis_: FakeRedis, bench: Bench) -> None:
    def act(name: str) -> None:
        if name == "exit":
            raise SystemExit

    bench.act = act
    broker = bench.broker()
    for number, payload in enumerate([b"garbage", b"null", b'{"args": [], "options": 5}']):
        broker.delivery.enqueue("default", f"bad{number}", payload, None)
    send(broker, "unknown", actor="nobody")
    send(broker, "exit", "good")

    bench.work(broker, threads=1)

    eventually(lambda: bench.done == ["good"])
    eventually(lambda: broker.activity.ended == 6)
    dead = dict.fromkeys(["bad0", "bad1", "bad2", "unknown", "exit"], "dead")
    eventually(lambda: places(redis_) == dead)


def test_a_message_is_interrupted_at_its_limit_and_its_thread_goes_on(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "INTERVAL_MS", 10)
    broker = bench.broker(FIRST, TimeLimit(time_limit=0.05))
    never = Event()

    def act(name: str) -> None:
        while name == "endless":
            never.wait(0.001)

    bench.act = act
    broker.emit_after("process_boot")
    send(broker, "endless", "next")
    bench.work(broker, threads=1)

    eventually(lambda: bench.done == ["next"])
    assert redis_.hgetall("dramatiq:default.XQ.counts") == {b"work\tTimeLimitExceeded": b"1"}


# --- taking ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_polling")
def test_an_idle_worker_wakes_by_the_bell_and_asks_for_nothing_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = bench.broker()
    asked: list[int] = []
    fetch = broker.delivery.fetch

    def note(queues: Any, count: int, at_once: Any) -> Any:
        asked.append(count)
        return fetch(queues, count, at_once)

    monkeypatch.setattr(broker.delivery, "fetch", note)
    idle = bench.work(broker)
    for number in range(1, 6):
        eventually(idle._bell._wanted.is_set)
        send(broker, str(number))
        eventually(bench.has_done(number))
    # Each message and its outcome wake once, and one look more may fall between.
    assert len(asked) <= 5 * 3 + 1


@pytest.mark.usefixtures("no_polling")
def test_a_delayed_message_starts_when_it_is_due(bench: Bench) -> None:
    from dramatiq.common import current_millis

    began: list[int] = []
    bench.act = lambda _: began.append(current_millis())
    broker = bench.broker()
    idle = bench.work(broker)
    eventually(idle._bell._wanted.is_set)

    sent = broker.enqueue(broker.get_actor("work").message("a"), delay=80)

    eventually(lambda: began)
    assert 0 <= began[0] - sent.options["eta"] < 2000


@pytest.mark.usefixtures("no_polling")
def test_a_retry_comes_by_itself(redis_: FakeRedis, bench: Bench) -> None:
    attempts: list[int] = []

    def act(_: str) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("no")

    bench.act = act
    broker = bench.broker()
    bench.work(broker)
    broker.get_actor("work").send_with_options(args=("a",), max_retries=2, retry_delay=20)
    eventually(lambda: counted(redis_, 60) == {"work retried": 2, "work handled": 1})
    assert len(attempts) == 3 and places(redis_) == {}


@pytest.mark.parametrize("ahead", [False, True])
def test_exactly_as_many_are_taken_as_the_budget_allows(redis_: FakeRedis, bench: Bench, ahead: bool) -> None:
    broker = bench.broker()
    names = [f"{number:02}" for number in range(20)]
    send(broker, *names)
    one = bench.work(broker, threads=3, take=Budget(7), ahead=ahead)
    eventually(lambda: broker.activity.ended == 7)
    bench.leave(one)
    assert sorted(bench.done) == names[:7]
    assert waiting(redis_) == names[7:]


def test_an_answer_that_was_lost_costs_nothing_of_the_budget_and_what_it_named_goes_back(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.queueing.worker")
    broker = bench.broker()
    send(broker, "a", "b", "c", "d")
    fetch = failing(2, failing(1, broker.delivery.fetch, carried_out=True))
    monkeypatch.setattr(broker.delivery, "fetch", fetch)

    bench.work(broker, threads=1, take=Budget(3))

    eventually(lambda: counted(redis_, 60) == {"work handled": 3})
    assert bench.done == ["a", "b", "c"]
    assert waiting(redis_) == ["d"]
    assert "gave 1 messages of default back that were taken while Redis went away" in caplog.text


def test_what_is_with_a_worker_without_its_knowledge_goes_back_by_itself(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "STRAYS_SECONDS", 0.05)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    broker = bench.broker()
    bench.work(broker)
    broker.enqueue(dramatiq.Message("default", "work", ("late",), {}, {}, message_id="late"), delay=60_000)

    # As a command does that comes to Redis when the worker has long given it up.
    assert broker.delivery.take("default", "late")

    eventually(bench.has_done(1))
    eventually(lambda: places(redis_) == {})


def test_a_bug_while_taking_does_not_end_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = bench.broker()
    fetch = broker.delivery.fetch
    bugs = iter([KeyError("a bug")])

    def break_down(*arguments: Any) -> Any:
        for bug in bugs:
            raise bug
        return fetch(*arguments)

    monkeypatch.setattr(broker.delivery, "fetch", break_down)
    bench.work(broker)
    send(broker, "a")
    eventually(lambda: bench.done == ["a"])
    assert "taking messages broke" in caplog.text


def test_a_delivery_of_what_still_runs_here_is_that_ones(redis_: FakeRedis, bench: Bench) -> None:
    bench.hold("a")
    broker = bench.broker()
    send(broker, "a")
    bench.work(broker, threads=2, take=Budget(2))
    eventually(lambda: bench.begun == ["a"])

    broker.delivery.give_back("default", ["a"], untouched=False)  # someone thought that this worker is lost
    eventually(lambda: ids(broker.delivery.held("default")) == ["a"])
    send(broker, "b")  # what was taken twice costs once
    eventually(lambda: bench.done == ["b"])
    bench.let_go()

    eventually(lambda: counted(redis_, 60) == {"work handled": 2})
    assert bench.begun == ["a", "b"]
    assert places(redis_) == {}


def test_a_delivery_that_comes_while_the_one_before_is_stored_is_stored_as_well(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = bench.broker()
    settle = broker.delivery.settle
    first = iter([True])

    def overtaken(queue: str, outcomes: Any) -> Any:
        if not next(first, False):
            return settle(queue, outcomes)
        broker.delivery.give_back("default", ["a"], untouched=False)
        ((again,), _) = broker.delivery.fetch(("default",), 1)
        lost = settle(queue, outcomes)
        one._accept(again)
        return lost

    monkeypatch.setattr(broker.delivery, "settle", overtaken)
    one = bench.work(broker, threads=1, take=Budget(1))
    send(broker, "a")
    eventually(lambda: counted(redis_, 60) == {"work handled": 1})
    assert bench.done == ["a"] and places(redis_) == {}


def test_what_was_brought_to_another_worker_is_not_settled_here(
    redis_: FakeRedis, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.hold("a")
    broker, other = bench.broker(), bench.broker(SECOND)
    send(broker, "a")
    bench.work(broker, threads=1)
    eventually(lambda: bench.begun == ["a"])
    broker.delivery.give_back("default", ["a"], untouched=False)
    other.delivery.fetch(("default",), 1)

    bench.let_go()

    eventually(lambda: "1 messages were no longer with this worker: a" in caplog.text)
    assert places(redis_) == {"a": SECOND}
    assert counted(redis_, 60) == {}


# --- storing outcomes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carried_out", [False, True])
def test_an_outcome_is_stored_again_until_redis_takes_it(
    redis_: FakeRedis,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    carried_out: bool,
) -> None:
    broker = bench.broker()
    monkeypatch.setattr(broker.delivery, "settle", failing(4, broker.delivery.settle, carried_out=carried_out))
    send(broker, "a")
    one = bench.work(broker, threads=1)

    eventually(lambda: bench.done == ["a"] and not one._here)

    assert counted(redis_, 60) == {"work handled": 1}
    assert places(redis_) == {}
    assert caplog.text.count("Redis did not take the outcome of 1 messages") == 4
    assert "no longer with this worker" not in caplog.text


def test_a_bug_while_storing_does_not_end_the_worker(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = bench.broker()
    settle = broker.delivery.settle
    bugs = iter([KeyError("a bug")])

    def break_down(*arguments: Any) -> Any:
        for bug in bugs:
            raise bug
        return settle(*arguments)

    monkeypatch.setattr(broker.delivery, "settle", break_down)
    send(broker, "a", "b")
    bench.work(broker, threads=1)
    eventually(lambda: counted(redis_, 60) == {"work handled": 2})
    assert "a bug" in caplog.text


def test_an_outcome_that_cannot_be_stored_keeps_no_other_from_being_stored(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = bench.broker()
    settle = broker.delivery.settle

    def choke(queue: str, outcomes: Any) -> Any:
        if any(outcome.taken.id == "odd" and outcome.result == "handled" for outcome in outcomes):
            raise UnicodeEncodeError("utf-8", "odd", 0, 1, "no character")
        return settle(queue, outcomes)

    monkeypatch.setattr(broker.delivery, "settle", choke)
    send(broker, "a", "odd", "b")
    bench.work(broker, threads=3)
    eventually(lambda: counted(redis_, 60) == {"work handled": 2, "? failed": 1})
    assert places(redis_) == {"odd": "dead"}


@pytest.mark.parametrize("id_", [b"\xff\xfeid", "\ud83d\ude00".encode("utf-16", "surrogatepass")])
def test_an_id_of_any_bytes_is_handled_and_forgotten(bench: Bench, id_: bytes) -> None:
    client = bench.redis = new_redis()
    broker = bench.broker()
    broker.delivery.enqueue("default", "first", b"no message", None)
    client.hset(keys.payloads("default"), id_, dramatiq.Message("default", "work", ("x",), {}, {}).encode())
    client.rpush(keys.ready("default"), id_)

    bench.work(broker, threads=1)

    eventually(lambda: counted(client, 60) == {"work handled": 1, "? failed": 1})
    assert client.hlen(keys.payloads("default")) == 0


def test_a_name_that_is_half_a_character_makes_a_dead_letter(redis_: FakeRedis, bench: Bench) -> None:
    broker = bench.broker()
    broker.delivery.enqueue("default", "odd", dramatiq.Message("default", "\ud800", (), {}, {}).encode(), None)
    send(broker, "a")

    bench.work(broker, threads=1)

    eventually(lambda: counted(redis_, 60) == {"work handled": 1, "? failed": 1})


# --- leaving -----------------------------------------------------------------------------------------------------


def test_a_draining_worker_gives_back_what_nobody_began_in_order(redis_: FakeRedis, bench: Bench) -> None:
    bench.hold("a")
    broker = bench.broker()
    send(broker, "a", "b", "c", "d")
    send(broker, "x", "y", queue="second")
    one = bench.work(broker, queues=("default", "second"), threads=1, ahead=True)
    eventually(lambda: bench.begun == ["a"] and len(one._here) == 6)

    one.stop_taking(5)

    assert waiting(redis_) == ["b", "c", "d"]
    assert waiting(redis_, "second") == ["x", "y"]
    assert places(redis_)["a"] == FIRST
    send(broker, "e")
    assert not one.wait_until_idle(0.01)
    bench.let_go()
    eventually(lambda: one.wait_until_idle(0.1))
    assert bench.done == ["a"]
    assert waiting(redis_) == ["b", "c", "d", "e"]
    ((again,), _) = broker.delivery.fetch(("default",), 1)
    assert again == Taken("default", "b", 1, again.payload)  # its first delivery did not count


def test_without_redis_a_worker_can_leave_and_its_successor_has_what_it_had(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.hold("a")
    broker = bench.broker()
    send(broker, "a", "b")
    one = bench.work(broker, threads=1, ahead=True)
    eventually(lambda: bench.begun == ["a"] and len(one._here) == 2)
    monkeypatch.setattr(broker.delivery, "give_back", failing(99, broker.delivery.give_back))

    one.stop_taking(5)
    bench.let_go()
    eventually(lambda: one.wait_until_idle(0.1))

    assert places(redis_) == {"b": FIRST}
    assert "until its successor starts" in caplog.text


def test_middleware_hears_of_begin_and_end(bench: Bench) -> None:
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
    one = bench.work(bench.broker(FIRST, Hearing()))
    bench.leave(one)
    assert heard == ["before boot", "after boot", "before shutdown", "after shutdown"]
    assert {thread.name for thread in set(threading.enumerate()) - before} <= {"bell"}


# --- for other workers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 80])
def test_what_waits_behind_a_long_message_goes_back_for_others(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(worker, "HOARD_SECONDS", 0.02)
    bench.hold("long")
    broker = bench.broker()
    names = [f"{number:02}" for number in range(count)]
    send(broker, "long", *names)
    one = bench.work(broker, threads=1, ahead=True)
    eventually(lambda: len(one._here) > 5)

    eventually(lambda: waiting(redis_) == names)

    bench.work(bench.broker(SECOND), threads=1)
    eventually(lambda: bench.done == names)
    assert bench.begun == ["long", *names]


def test_what_could_not_go_back_at_once_goes_back_later(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HOARD_SECONDS", 0.02)
    bench.hold("long")
    broker = bench.broker()
    monkeypatch.setattr(broker.delivery, "give_back", failing(2, broker.delivery.give_back))
    send(broker, "long", "a", "b")
    bench.work(broker, threads=1, ahead=True)
    eventually(lambda: waiting(redis_) == ["a", "b"])
    assert places(redis_)["long"] == FIRST


def test_what_has_only_just_come_does_not_go_back(redis_: FakeRedis, bench: Bench) -> None:
    broker = bench.broker()
    send(broker, "a")
    one = Worker(broker, queues=("default",), threads=1)  # its threads have not woken yet
    one._accept(broker.delivery.fetch(("default",), 1)[0][0])
    one._give_back_hoarded()
    assert places(redis_) == {"a": FIRST}


@pytest.mark.usefixtures("no_polling")
def test_who_may_take_nothing_more_hears_no_ring_that_others_wait_for(bench: Bench) -> None:
    bench.hold("long")
    broker, other = bench.broker(), bench.broker(SECOND)
    send(broker, "long")
    bench.work(broker, threads=2, take=Budget(1))
    eventually(lambda: bench.begun == ["long"])
    idle = bench.work(other)
    names = [str(number) for number in range(1, 11)]
    for name in names:
        eventually(idle._bell._wanted.is_set)
        send(broker, name)
        eventually(bench.has_done(int(name)))
    assert bench.done == names


# --- suspects ----------------------------------------------------------------------------------------------------


def suspects(broker: Broker, *names: str) -> list[Taken]:
    send(broker, *names)
    return broker.delivery.fetch(("default",), len(names))[0]


def test_suspects_run_one_by_one_before_anything_else(redis_: FakeRedis, bench: Bench) -> None:
    broker = bench.broker()
    found = suspects(broker, "a", "b", "c")
    send(broker, "next")
    seen: list[tuple[int, tuple[str, str] | None, str]] = []
    bench.act = lambda name: seen.append(
        (len(broker.activity.running()), broker.delivery.ran_alone(), places(redis_)["next"])
    )

    bench.work(broker, threads=4, suspects=found)

    eventually(lambda: bench.done == ["a", "b", "c", "next"])
    assert seen[:3] == [(1, ("default", name), "ready") for name in "abc"]
    eventually(lambda: places(redis_) == {})


def test_suspects_run_when_redis_has_come_back(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = bench.broker()
    found = suspects(broker, "a", "b")
    monkeypatch.setattr(broker.delivery, "deliver_alone", failing(2, broker.delivery.deliver_alone))
    bench.work(broker, threads=1, suspects=found, take=Budget(0))
    eventually(lambda: bench.done == ["a", "b"])
    eventually(lambda: places(redis_) == {})


def test_a_suspect_that_is_gone_counts_as_ended(bench: Bench) -> None:
    broker = bench.broker()
    found = suspects(broker, "a", "b")
    broker.delivery.give_back("default", ["a"])
    broker.delivery.take("default", "a")
    broker.delivery.give_back("default", ["a"])
    bench.work(broker, threads=1, suspects=found, take=Budget(0))
    # Its owner leaves when as many have ended as there were suspects.
    eventually(lambda: broker.activity.ended == 2)
    assert bench.done == ["b"]


def test_a_leaving_worker_keeps_the_suspects_that_it_has_not_run(redis_: FakeRedis, bench: Bench) -> None:
    bench.hold("a")
    broker = bench.broker()
    found = suspects(broker, "a", "b", "c")
    one = bench.work(broker, threads=1, suspects=found, take=Budget(0))
    eventually(lambda: bench.begun == ["a"])

    stopping = threading.Thread(target=one.stop_taking, args=[60])
    stopping.start()
    stopping.join(5)
    assert not stopping.is_alive()  # although the suspect still runs
    bench.let_go()
    eventually(lambda: one.wait_until_idle(0.1))

    assert bench.done == ["a"] and broker.activity.ended == 1
    assert places(redis_) == {"b": FIRST, "c": FIRST}


def test_a_worker_that_leaves_while_redis_is_away_keeps_its_suspects(
    redis_: FakeRedis, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = bench.broker()
    found = suspects(broker, "a", "b")
    monkeypatch.setattr(broker.delivery, "deliver_alone", failing(10**6, broker.delivery.deliver_alone))
    one = bench.work(broker, threads=1, suspects=found, take=Budget(0))
    eventually(lambda: "does not deliver a suspect" in caplog.text)
    bench.leave(one)
    assert broker.activity.ended == 0
    assert places(redis_) == {"a": FIRST, "b": FIRST}
