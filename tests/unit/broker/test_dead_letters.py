"""Dead letters: in exactly one place at every moment, read in pages, changed in batches, forgotten in time."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from dramatiq.common import current_millis
from fakeredis import FakeRedis

from tandem.broker import dead_letters
from tandem.broker.broker import Binding, Broker
from tandem.broker.dead_letter import UNKNOWN, DeadLetter, FailureKind
from tandem.broker.dead_letters import DeadLetters, Filter, Retried
from tandem.broker.in_flight import InFlight
from tandem.worker import recovery
from tandem.worker.retries import Retries
from tests.unit.dead_letters import FAILED_AT, dead_letter_with, places, put, ready

LATER = FAILED_AT + 10_000_000


@pytest.fixture
def client() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def letters(client: FakeRedis) -> DeadLetters:
    return DeadLetters(client)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAGE", 3)
    monkeypatch.setattr(dead_letters, "BATCH", 2)


def every(letters: DeadLetters, queue: str = "default", wanted: Filter = dead_letters.ALL) -> list[DeadLetter]:
    return [letter for batch in letters.oldest(queue, wanted, until=LATER) for letter in batch]


def test_a_retried_letter_is_ready_and_no_longer_dead(client: FakeRedis, letters: DeadLetters) -> None:
    ids = [dead_letter_with(client, number) for number in range(3)]

    assert letters.retry(every(letters)[:2]) == Retried(requeued=2)

    assert places(client) == {ids[0]: ["ready"], ids[1]: ["ready"], ids[2]: ["dead"]}
    assert client.sismember("tandem:queues", "default")


def test_a_retried_message_starts_again_and_keeps_its_attempts(client: FakeRedis, letters: DeadLetters) -> None:
    dead_letter_with(client, 7, resent=1, eta=5, attempt_count=25, pipe_target="kept")
    letters.retry(every(letters))

    (message,) = ready(client)
    options = message.pop("options")
    assert message == {
        "queue_name": "default",
        "actor_name": "work",
        "args": [7],
        "kwargs": {},
        "message_id": "id-000007",
        "message_timestamp": FAILED_AT - 5000,
    }
    assert options.pop("attempts")[0]["message"] == "no 7"
    assert options.pop("eta") > FAILED_AT, "what it waits from now on counts, not since it was sent first"
    assert options == {"retries": 0, "resent": 2, "attempt_count": 25, "pipe_target": "kept"}


def test_retried_letters_are_requeued_after_ready_messages_in_the_order_of_their_failures(
    client: FakeRedis, letters: DeadLetters
) -> None:
    client.rpush("dramatiq:default", "waits")
    for number in (3, 1, 2):
        dead_letter_with(client, number)
    letters.retry(every(letters))
    assert client.lrange("dramatiq:default", 0, -1) == [b"waits", b"id-000001", b"id-000002", b"id-000003"]


def test_a_second_retry_of_the_same_id_changes_nothing(client: FakeRedis, letters: DeadLetters) -> None:
    dead_letter_with(client, 1)
    seen = every(letters)
    letters.retry(seen)
    before = places(client)

    assert letters.retry(seen) == Retried(gone=1)

    assert places(client) == before == {"id-000001": ["ready"]}


def test_a_message_that_failed_again_since_it_was_read_stays(client: FakeRedis, letters: DeadLetters) -> None:
    dead_letter_with(client, 1)
    seen = every(letters)
    letters.retry(seen)
    client.delete("dramatiq:default", "dramatiq:default.msgs")
    dead_letter_with(client, 1, failed_at=FAILED_AT + 999)

    assert letters.retry(seen) == Retried(gone=1)
    assert letters.remove(seen) == 0
    assert places(client) == {"id-000001": ["dead"]}


def test_a_message_that_is_already_there_is_not_overwritten(client: FakeRedis, letters: DeadLetters) -> None:
    dead_letter_with(client, 1)
    client.hset("dramatiq:default.msgs", "id-000001", "other")
    assert letters.retry(every(letters)) == Retried(gone=1)
    assert client.hget("dramatiq:default.msgs", "id-000001") == b"other"
    assert client.zcard("dramatiq:default.XQ") == 1


@pytest.mark.usefixtures("short_pages")
def test_killed_between_batches_every_message_is_in_one_place(
    client: FakeRedis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [dead_letter_with(client, number) for number in range(9)]
    send, calls = letters._requeue, 0

    def die_at_the_third(*arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return send(*arguments)

    monkeypatch.setattr(letters, "_requeue", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        letters.retry(every(letters))
    assert places(client) == {id_: ["ready"] for id_ in ids[:4]} | {id_: ["dead"] for id_ in ids[4:]}

    letters.retry(every(letters))
    assert places(client) == {id_: ["ready"] for id_ in ids}


def test_a_script_that_fails_loses_nothing(client: FakeRedis, letters: DeadLetters) -> None:
    dead_letter_with(client, 1)
    client.set("dramatiq:default", "not a list")
    with pytest.raises(redis.ResponseError):
        letters.retry(every(letters))
    assert client.zcard("dramatiq:default.XQ") == client.hlen("dramatiq:default.XQ.msgs") == 1


def test_long_payloads_are_sent_in_parts(
    client: FakeRedis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "BATCH_BYTES", 1000)
    sizes = []
    send = letters._requeue

    def note(part: Any) -> int:
        sizes.append(len(part))
        return send(part)

    monkeypatch.setattr(letters, "_requeue", note)
    for number, length in enumerate((10, 10, 900, 5000, 10)):
        dead_letter_with(client, number, args=("x" * length,))

    assert letters.retry(every(letters)) == Retried(requeued=5)
    assert sizes == [2, 1, 1, 1]


@pytest.mark.parametrize(
    "payload", [b"", b"garbage", b"\xff\xfe", b"[]", b"{}", b'{"queue_name": 1}', b"[" * 100_000, b"null"]
)
def test_an_undecodable_letter_is_counted_listed_and_removed_but_not_retried(
    client: FakeRedis, letters: DeadLetters, payload: bytes
) -> None:
    put(client, "default", "bad", payload, kind="?\tDecodeError")
    dead_letter_with(client, 1)

    assert letters.retry(every(letters)) == Retried(requeued=1, undecodable=1)
    assert places(client) == {"bad": ["dead"], "id-000001": ["ready"]}
    (letter,) = letters.newest(["default"], limit=5)
    assert (letter.kind, letter.content, letter.attempts) == (FailureKind("?", "DecodeError"), None, [])
    assert letters.remove([letter]) == 1
    assert places(client) == {"id-000001": ["ready"]}


def test_options_of_the_wrong_kind_break_nothing(client: FakeRedis, letters: DeadLetters) -> None:
    dead_letter_with(client, 1, attempts=[3, {"error": 5}], attempt_count="many", resent=None, traceback=7)
    (letter,) = letters.newest(["default"], limit=5)
    assert [attempt.error for attempt in letter.attempts] == ["5"]
    assert (letter.attempt_count, letter.requeue_count, letter.traceback) == (1, 0, "7")
    assert letters.retry([letter]) == Retried(requeued=1)


def test_ids_that_are_no_text_are_handled_as_they_are(client: FakeRedis, letters: DeadLetters) -> None:
    raw: Any = b"\xff\x00id"
    for step in (letters.retry, letters.remove):
        client.delete("dramatiq:default.msgs")
        dead_letter_with(client, 1)
        payload: Any = client.hget("dramatiq:default.XQ.msgs", "id-000001")
        put(client, "default", raw, payload, kind="work\tValueError")
        found = letters.find(["default"], ["\udcff\x00id"])
        step(list(found.values()))
        assert client.zscore("dramatiq:default.XQ", raw) is None
    assert client.lindex("dramatiq:default", 0) == raw


@pytest.mark.usefixtures("short_pages")
def test_pages_list_every_letter_once_in_order_in_both_directions(client: FakeRedis, letters: DeadLetters) -> None:
    ids = [dead_letter_with(client, number) for number in range(20)]

    assert [letter.id for letter in every(letters)] == ids
    assert [letter.id for letter in letters.newest(["default"], limit=100)] == ids[::-1]
    assert [letter.id for letter in letters.newest(["default"], limit=7)] == ids[:12:-1]


@pytest.mark.usefixtures("short_pages")
def test_all_failures_in_the_same_millisecond_are_listed(client: FakeRedis, letters: DeadLetters) -> None:
    ids = [dead_letter_with(client, number, failed_at=FAILED_AT + number // 10) for number in range(30)]

    assert [letter.id for letter in every(letters)] == ids
    assert [letter.id for letter in letters.newest(["default"], limit=100)] == ids[::-1]


@pytest.mark.usefixtures("short_pages")
def test_letters_removed_between_two_pages_hide_no_others(client: FakeRedis, letters: DeadLetters) -> None:
    ids = [dead_letter_with(client, number, failed_at=FAILED_AT) for number in range(20)]
    seen = []
    for batch in letters.oldest("default", until=LATER):
        seen += [letter.id for letter in batch]
        letters.remove(batch)
    assert seen == ids
    assert client.keys("dramatiq:*") == []


@pytest.mark.usefixtures("short_pages")
def test_pages_end_with_what_was_dead_at_the_beginning(client: FakeRedis, letters: DeadLetters) -> None:
    """A message that fails again at once would otherwise keep a retry busy for ever."""
    for number in range(10):
        dead_letter_with(client, number)
    sent = 0
    for round_, batch in enumerate(letters.oldest("default", until=FAILED_AT + 9)):
        sent += letters.retry(batch).requeued
        for letter in batch:
            client.lrem("dramatiq:default", 1, letter.id)
            client.hdel("dramatiq:default.msgs", letter.id)
            dead_letter_with(client, int(letter.id[3:]), failed_at=FAILED_AT + 100 + round_)
    assert sent == 10
    assert len(places(client)) == 10


@pytest.mark.usefixtures("short_pages")
def test_letters_of_several_queues_come_newest_first(client: FakeRedis, letters: DeadLetters) -> None:
    ids = [dead_letter_with(client, number, queue="ab"[number % 3 == 0]) for number in range(12)]
    assert [letter.id for letter in letters.newest(["a", "b", "empty"], limit=9)] == ids[:2:-1]


@pytest.mark.usefixtures("short_pages")
def test_rare_letters_are_found_without_reading_the_payloads_of_others(
    client: FakeRedis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        dead_letter_with(
            client, number, actor="rare" if number in (5, 33) else "work", error="KeyError" if number % 2 else "OSError"
        )
    opened = 0
    open_ = letters._with_payloads

    def count(batch: Any) -> list[DeadLetter]:
        nonlocal opened
        opened += len(batch)
        return open_(batch)

    monkeypatch.setattr(letters, "_with_payloads", count)

    rare = list(letters.newest(["default"], Filter(actor="rare"), limit=10))
    assert [letter.id for letter in rare] == ["id-000033", "id-000005"]
    assert opened == 2
    assert len(every(letters, wanted=Filter(error="KeyError"))) == 25
    assert every(letters, wanted=Filter("rare", "OSError")) == []


def test_counts_know_the_kinds_and_those_without_one(client: FakeRedis, letters: DeadLetters) -> None:
    for number in range(5):
        dead_letter_with(client, number, error="KeyError" if number else "OSError")
    put(client, "default", "old", b"{}", kind=None, failed_at=FAILED_AT - 1)

    assert letters.counts("default") == {
        FailureKind("work", "KeyError"): 4,
        FailureKind("work", "OSError"): 1,
        UNKNOWN: 1,
    }
    assert letters.last_failed_at("default") == {
        FailureKind("work", "KeyError"): FAILED_AT + 4,
        FailureKind("work", "OSError"): FAILED_AT,
        UNKNOWN: FAILED_AT - 1,
    }
    assert letters.last_failed_at("default", Filter(error="OSError")) == {FailureKind("work", "OSError"): FAILED_AT}
    assert letters.counts("empty") == letters.last_failed_at("empty") == {}


def test_old_letters_without_a_kind_are_retried_as_well(client: FakeRedis, letters: DeadLetters) -> None:
    dead_letter_with(client, 1)
    client.delete("dramatiq:default.XQ.kinds", "dramatiq:default.XQ.counts")
    (letter,) = letters.newest(["default"], limit=5)
    assert (letter.kind, letter.actor) == (UNKNOWN, "work")
    assert letters.retry([letter]) == Retried(requeued=1)
    assert letters.counts("default") == {}


def test_an_id_is_found_in_any_queue_and_unknown_ones_are_left_out(client: FakeRedis, letters: DeadLetters) -> None:
    first, second = dead_letter_with(client, 1, queue="a"), dead_letter_with(client, 2, queue="b")
    found = letters.find(["a", "b"], [second, "unknown", first])
    assert {id_: (letter.queue, letter.message) for id_, letter in found.items()} == {
        first: ("a", "no 1"),
        second: ("b", "no 2"),
    }


def test_a_removed_letter_leaves_no_trace(client: FakeRedis, letters: DeadLetters) -> None:
    for number in range(250):
        dead_letter_with(client, number)
    assert letters.remove(every(letters)) == 250
    assert client.keys("dramatiq:*") == []


def broker(client: FakeRedis, retention: int) -> Broker:
    parts = [InFlight(time_limit=60), Retries(max_retries=3, delay=1000, multiplier=2)]
    broker = Broker(middleware=parts)
    broker.bind(Binding(client, worker="host:worker_00", failed_retention=retention))
    return broker


def test_dead_letters_expire_after_the_retention(client: FakeRedis) -> None:
    now = current_millis()
    dead_letter_with(client, 1, queue="unknown-here", failed_at=now - 61_000)
    young = dead_letter_with(client, 2, queue="unknown-here", failed_at=now - 50_000)

    recovery.expire_dead_letters(broker(client, 3600))
    assert len(places(client, "unknown-here")) == 2
    recovery.expire_dead_letters(broker(client, 60))
    assert places(client, "unknown-here") == {young: ["dead"]}


def test_old_letters_expire_some_at_a_time(client: FakeRedis, letters: DeadLetters) -> None:
    for number in range(30):
        dead_letter_with(client, number)
    assert letters.expire("default", FAILED_AT + 25, at_most=20) == 20
    assert letters.expire("default", FAILED_AT + 25, at_most=20) == 5
    assert letters.expire("default", FAILED_AT + 25, at_most=20) == 0
    assert sorted(places(client)) == [f"id-{number:06}" for number in range(25, 30)]
