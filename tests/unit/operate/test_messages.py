"""Messages are found in every state, and single ones are canceled or run at once."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import dramatiq
import pytest
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.errors import Canceled
from tandem.operate import message_control as control
from tandem.operate import messages, removal
from tandem.operate.messages import Filter, InvalidFilter, Messages
from tandem.worker.cancellation import interrupt_canceled
from tandem.worker.executor import Executor
from tandem.worker.time_limit import TimeLimit
from tests.unit.harness import broker_on, outcome, places, send


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    return broker_on(redis_)


@pytest.fixture
def found(broker: Broker) -> Messages:
    return Messages(broker.client)


def fail(broker: Broker, *ids: str, error: str = "Error", actor: str = "work", queue: str = "default") -> None:
    """Let messages become dead letters, the last one last."""
    send(broker, *ids, actor=actor, queue=queue)
    deliveries, _ = broker.store.claim_batch([queue], len(ids))
    for delivery in deliveries:
        broker.store.ack(
            queue,
            [outcome(delivery, "failed", payload=delivery.payload, detail=f"{actor}\t{error}", actor=actor)],
        )


def walked(found: Messages, wanted: Filter, *, limit: int) -> list[str]:
    """Return the ids of all pages."""
    ids, after = [], ""
    while True:
        page = found.page(wanted, after=after, limit=limit)
        ids += [one.id for one in page.messages]
        after = page.after
        if not after:
            return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_ready_messages_are_listed_queue_by_queue_in_their_order(broker: Broker, found: Messages, limit: int) -> None:
    send(broker, "b1", "b2", queue="b")
    send(broker, "a1", "a2", "a3", queue="a")
    assert walked(found, Filter("ready"), limit=limit) == ["a1", "a2", "a3", "b1", "b2"]
    assert walked(found, Filter("ready", queue="b"), limit=limit) == ["b1", "b2"]


def test_a_page_does_not_slip_when_messages_leave_the_list(broker: Broker, found: Messages) -> None:
    send(broker, *"abcdef")
    page = found.page(Filter("ready"), limit=3)
    broker.store.claim_batch(["default"], 4)  # a, b, c and d
    assert [one.id for one in found.page(Filter("ready"), after=page.after, limit=3).messages] == ["e", "f"]


def park(broker: Broker, *ids: str) -> None:
    """Let messages wait for the limit of their actor."""
    for number, id_ in enumerate(ids):
        message: Any = dramatiq.Message("default", "work", (id_,), {}, {}, message_id=id_)
        broker.client.hset(keys.payloads("default"), id_, message.encode())
        broker.client.zadd(keys.parked("default"), {f"work:\t1{number:04}\t{id_}": 0})
    broker.client.sadd(keys.QUEUES, "default")


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_messages_that_wait_for_a_limit_come_last_and_once(broker: Broker, found: Messages, limit: int) -> None:
    send(broker, "a", "b")
    park(broker, "c", "d", "e")
    assert walked(found, Filter("ready"), limit=limit) == list("abcde")
    assert walked(found, Filter("ready", text="d"), limit=limit) == ["d"]


def test_many_messages_that_wait_for_a_limit_are_searched_in_steps(broker: Broker, found: Messages) -> None:
    park(broker, *map(str, range(2500)))
    assert walked(found, Filter("ready", text="2499"), limit=9) == ["2499"]


def test_a_page_does_not_begin_anew_when_its_last_message_is_canceled(broker: Broker, found: Messages) -> None:
    send(broker, *"abcdef")
    page = found.page(Filter("ready"), limit=3)
    assert control.cancel(broker.client, broker, (), "c") == "removed"
    assert [one.id for one in found.page(Filter("ready"), after=page.after, limit=3).messages] == ["d", "e", "f"]


def test_a_page_of_dead_letters_does_not_slip_when_more_fail(broker: Broker, found: Messages) -> None:
    fail(broker, *"abcdef")
    page = found.page(Filter("failed"), limit=2)
    assert [one.id for one in page.messages] == ["f", "e"]
    fail(broker, "g", "h")
    broker.dead_letters.remove(list(broker.dead_letters.find(["default"], ["e", "d"]).values()))
    assert [one.id for one in found.page(Filter("failed"), after=page.after, limit=2).messages] == ["c", "b"]


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_dead_letters_of_all_queues_are_merged_newest_first(broker: Broker, found: Messages, limit: int) -> None:
    for number in range(8):
        fail(broker, f"{number}", queue=f"queue{number % 3}")
        time.sleep(0.002)
    assert walked(found, Filter("failed"), limit=limit) == [str(number) for number in range(7, -1, -1)]


def test_dead_letters_are_found_by_actor_error_and_text(broker: Broker, found: Messages) -> None:
    fail(broker, "a", error="Timeout")
    fail(broker, "b", error="Timeout", actor="other")
    fail(broker, "c", error="ValueError")
    fail(broker, "needle", error="ValueError")
    assert walked(found, Filter("failed", error="Timeout"), limit=9) == ["b", "a"]
    assert walked(found, Filter("failed", error="Timeout", actor="other"), limit=9) == ["b"]
    assert walked(found, Filter("failed", text="need"), limit=9) == ["needle"]
    assert walked(found, Filter("failed", text="timeout"), limit=9) == []


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("Grüße", "üß"),
        ('say "hi"', '"hi'),
        ("back\\slash", "\\s"),
        ("line\nend", "line\nend"),
        ("%d .* [x]", ".* ["),
        ("日本", "本"),
    ],
)
@pytest.mark.parametrize("state", ["ready", "failed"])
def test_a_text_is_found_in_arguments_whatever_it_is(
    broker: Broker, found: Messages, argument: str, text: str, state: Any
) -> None:
    for id_, args in (("1", (argument,)), ("2", ("something else",))):
        broker.enqueue(dramatiq.Message("default", "work", args, {}, {"note": argument}, message_id=id_))
    if state == "failed":
        deliveries, _ = broker.store.claim_batch(["default"], 2)
        broker.store.ack("default", [outcome(one, "failed", payload=one.payload) for one in deliveries])
    assert walked(found, Filter(state, text=text), limit=9) == ["1"]


def test_delayed_and_running_messages_are_listed(broker: Broker, found: Messages) -> None:
    send(broker, "runs")
    broker.store.claim_batch(["default"], 1)
    broker.enqueue(dramatiq.Message("default", "work", (), {}, {}, message_id="later"), delay=60_000)
    broker.enqueue(dramatiq.Message("default", "work", (), {}, {}, message_id="soon"), delay=30_000)
    broker.store.heartbeat('{"running": [{"message_id": "runs", "actor": "work", "seconds": 4.2, "stuck": false}]}')
    assert walked(found, Filter("delayed"), limit=1) == ["soon", "later"]
    (running,) = found.page(Filter("running")).messages
    assert (running.id, running.worker, running.seconds) == ("runs", "host:worker_00", 4.2)


def test_all_that_a_filter_finds_is_yielded_while_messages_are_removed(broker: Broker, found: Messages) -> None:
    send(broker, *map(str, range(2500)))
    seen = 0
    for _, ids in found.waiting_ids(Filter("ready")):
        seen += len(ids)
        broker.client.ltrim(keys.ready("default"), len(ids), -1)
    assert seen == 2500


def test_an_actor_is_found_in_json_of_any_spacing(broker: Broker, found: Messages) -> None:
    payload = {"actor_name": "work", "queue_name": "default", "args": ["needle"], "kwargs": {}, "options": {}}
    broker.client.sadd(keys.QUEUES, "default")
    broker.client.rpush(keys.ready("default"), "a")
    content = json.dumps({**payload, "message_id": "a", "message_timestamp": 1})
    broker.client.hset(keys.payloads("default"), "a", content)
    assert walked(found, Filter("ready", actor="work"), limit=9) == ["a"]
    assert walked(found, Filter("ready", actor="other"), limit=9) == []
    assert walked(found, Filter("ready", text="needle"), limit=9) == ["a"]


def test_a_search_is_bounded_and_says_how_far_it_went(
    broker: Broker, found: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_SEARCHED", 4)
    monkeypatch.setattr(messages, "STEP", 2)
    fail(broker, "needle", *map(str, range(8)))
    page = found.page(Filter("failed", text="needle"))
    assert (page.messages, page.searched) == ([], 4)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"state": "lost"}, "the state lost is unknown: expected one of ready, delayed, running, failed, handled"),
        ({"state": "ready", "error": "X"}, "only failed and handled messages have an error"),
        ({"text": "x" * 201}, "the search is too long"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_what_is_expected(choice: Any, reason: str) -> None:
    with pytest.raises(InvalidFilter, match=reason):
        Filter(**choice)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "e30",
        "WzFd",
        "bnVsbA",
        "W251bGwsIjEiXQ",
        "WyJ4Iix7fV0",
        "WyJ4IiwieSJd",
        "WzFlOTk5LCJ5Il0",
        "W05hTiwieSJd",
        "WzUsICJcdWQ4MDAiXQ",
        "[" * 50,
        "\udcff",
    ],
)
@pytest.mark.parametrize("state", ["ready", "failed", "handled"])
def test_a_cursor_that_is_none_is_refused(found: Messages, cursor: str, state: Any) -> None:
    with pytest.raises(InvalidFilter, match="begin at the first page"):
        found.page(Filter(state), after=cursor)


def test_an_unknown_queue_is_refused_with_those_there_are(broker: Broker, found: Messages) -> None:
    send(broker, "a")
    with pytest.raises(InvalidFilter, match="unknown queue nothing: expected one of default"):
        found.page(Filter(queue="nothing"))


def test_one_message_is_found_wherever_it_is(broker: Broker, found: Messages) -> None:
    send(broker, "runs", "waits")
    broker.store.claim_batch(["default"], 1)
    broker.enqueue(dramatiq.Message("default", "work", (), {}, {}, message_id="later"), delay=60_000)
    broker.store.heartbeat('{"running": []}')
    fail(broker, "failed", queue="other")
    expected = {"runs": ["running"], "waits": ["ready"], "later": ["delayed"], "failed": ["failed"], "nothing": []}
    assert {id_: [one.state for one in found.find(id_)] for id_ in expected} == expected


# --- cancel ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def told(broker: Broker) -> list[tuple[str, str]]:
    """Declare the actor, and return what its on_failed is told."""
    seen: list[tuple[str, str]] = []
    broker.actor_options.add("on_failed")

    def on_failed(message: Any, error: BaseException) -> None:
        seen.append((message.message_id, type(error).__name__))

    @dramatiq.actor(broker=broker, on_failed=on_failed)
    def work(_id: str) -> None: ...

    return seen


def test_a_waiting_message_is_removed_after_its_on_failed(broker: Broker, told: list[tuple[str, str]]) -> None:
    send(broker, "a", "b", "c")
    assert control.cancel(broker.client, broker, (), "b") == "removed"
    assert told == [("b", "Purged")]
    assert places(broker.client) == {"a": "ready", "c": "ready"}
    assert control.cancel(broker.client, broker, (), "b") == "unknown"


def test_a_delayed_message_is_removed(broker: Broker, told: list[tuple[str, str]]) -> None:
    broker.enqueue(dramatiq.Message("default", "work", ("a",), {}, {}, message_id="a"), delay=60_000)
    assert control.cancel(broker.client, broker, (), "a") == "removed"
    assert (told, places(broker.client)) == ([("a", "Purged")], {})


def test_what_is_put_aside_comes_back_when_the_process_dies_before_it_is_removed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(broker, "a")
    monkeypatch.setattr(removal.Removal, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        control.cancel(broker.client, broker, (), "a")
    assert places(broker.client) == {"a": "delayed"}


def test_a_message_that_has_ended_is_not_canceled(broker: Broker) -> None:
    fail(broker, "a")
    assert control.cancel(broker.client, broker, (), "a") == "failed"
    assert places(broker.client) == {"a": "dead"}


def test_a_running_message_is_left_to_its_worker(broker: Broker) -> None:
    send(broker, "a")
    broker.store.claim_batch(["default"], 1)
    broker.store.heartbeat('{"running": []}')
    assert control.cancel(broker.client, broker, (), "a") == "interrupted"
    assert broker.client.smembers(keys.canceled(broker.worker)) == {b"default\ta"}
    broker.client.delete(keys.canceled(broker.worker))


class Interrupted(TimeLimit):
    """Notes the threads that are interrupted."""

    threads: list[int] = []  # noqa: RUF012

    def cancel(self, thread: int, current: Any) -> bool:
        self.threads.append(thread)
        return bool(current() == thread)


def test_a_unique_message_is_interrupted_by_its_id_in_the_queue(redis_: FakeRedis) -> None:
    Interrupted.threads.clear()
    broker = broker_on(redis_, "host:worker_00", Interrupted(time_limit=60))

    @dramatiq.actor(broker=broker)
    def work(_id: str) -> None:
        interrupt_canceled(broker)

    message: Any = dramatiq.Message("default", "work", ("a",), {}, {}, message_id="its-own")
    broker.store.enqueue("default", "work~key", message.encode(), None)
    deliveries, _ = broker.store.claim_batch(["default"], 1)
    redis_.sadd(keys.canceled(broker.worker), "default\twork~key")
    Executor(broker).run(deliveries[0])
    assert Interrupted.threads == [threading.get_ident()]
    assert not redis_.exists(keys.canceled(broker.worker))


def test_a_canceled_message_that_its_worker_gave_back_is_removed(broker: Broker, told: list[tuple[str, str]]) -> None:
    send(broker, "a")
    broker.store.claim_batch(["default"], 1)
    broker.store.heartbeat('{"running": []}')
    assert control.cancel(broker.client, broker, (), "a") == "interrupted"
    broker.store.requeue("default", ["a"])
    interrupt_canceled(broker)
    assert (told, places(broker.client)) == ([("a", "Purged")], {})


def test_a_new_message_with_the_id_of_a_canceled_one_that_has_ended_stays(broker: Broker) -> None:
    broker.client.sadd(keys.canceled(broker.worker), "default\ta")
    send(broker, "a")
    interrupt_canceled(broker)
    assert places(broker.client) == {"a": "ready"}


def test_run_makes_a_delayed_message_the_next_one(broker: Broker) -> None:
    send(broker, "a", "b")
    broker.enqueue(dramatiq.Message("default", "work", (), {}, {}, message_id="later"), delay=60_000)
    assert control.run_now(broker.client, (), "later") == "next"
    deliveries, _ = broker.store.claim_batch(["default"], 3)
    assert [one.id for one in deliveries] == ["later", "a", "b"]
    broker.store.heartbeat('{"running": []}')
    assert control.run_now(broker.client, (), "later") == "running"
    assert control.run_now(broker.client, (), "nothing") == "unknown"


def test_a_canceled_message_is_interrupted_on_its_thread_only(broker: Broker) -> None:
    limit = TimeLimit(time_limit=60)
    limit.manager.add_timeout(1, 60_000)  # type: ignore[no-untyped-call]
    assert not limit.cancel(1, lambda: None)  # it has ended meanwhile
    assert not limit.cancel(2, lambda: 2)  # it is about to begin
    assert Canceled().args == ("canceled by an operator",)
