"""Translations in Redis: a result is stored once, a final status never changes, and only ended ones expire."""

from __future__ import annotations

from typing import Any

import pytest
from fakeredis import FakeRedis

from app.translation.parts import Part
from app.translation.request import TranslationRequest
from app.translation.store import State, Store, Translation, changes_channel

ASKED = TranslationRequest(text="Good morning.", target="es")


@pytest.fixture
def client() -> FakeRedis:
    return FakeRedis(decode_responses=True)


@pytest.fixture
def store(client: FakeRedis) -> Store:
    return Store(client, retention=60)


def new(store: Store, client: FakeRedis) -> Translation:
    job = store.create(ASKED, model="apertium")
    record = store.record(job)
    fields: Any = record.fields
    client.hset(record.key, mapping=fields)
    client.zadd(record.index, {record.member: 0})
    return job


@pytest.fixture
def job(store: Store, client: FakeRedis) -> Translation:
    return new(store, client)


def now(store: Store, job: Translation) -> Translation:
    seen = store.get(job.id)
    assert seen
    return seen


def begin(store: Store, job: Translation, total: int = 1) -> str:
    run = store.start(job.id, total=total)
    assert run
    return run


def test_the_first_result_stays(store: Store, job: Translation) -> None:
    run = begin(store, job)
    assert store.finish(job.id, run, "Buenos días.")
    ended = now(store, job)

    assert not store.finish(job.id, run, "Otra cosa.")
    assert not store.add_chunk(job.id, run, 0, Part("Otra cosa."))
    assert not store.fail(job.id, "too late")
    assert not store.start(job.id, total=3)
    assert not store.requeue(job.id, run, error="too late")
    assert now(store, job) == ended
    assert (ended.status, ended.translation, ended.error) == ("done", "Buenos días.", None)


def test_a_superseded_run_can_change_nothing(store: Store, job: Translation) -> None:
    thought_dead, successor = begin(store, job), begin(store, job)
    before = now(store, job)

    assert not store.add_chunk(job.id, thought_dead, 0, Part("uno"))
    assert not store.requeue(job.id, thought_dead, error="too late")
    assert not store.finish(job.id, thought_dead, "uno")
    assert (now(store, job), store.chunks(job.id)) == (before, {})

    assert store.add_chunk(job.id, successor, 0, Part("dos"))
    assert store.finish(job.id, successor, "dos")
    assert not store.finish(job.id, thought_dead, "uno")
    assert now(store, job).translation == "dos"


def test_a_failure_stays(store: Store, job: Translation) -> None:
    run = begin(store, job)
    assert store.fail(job.id, "no model")

    assert not store.finish(job.id, run, "Buenos días.")
    assert (now(store, job).status, now(store, job).error) == ("failed", "no model")


def test_a_retried_failure_resumes_after_its_chunks(store: Store, job: Translation, client: FakeRedis) -> None:
    store.add_chunk(job.id, begin(store, job), 0, Part("Buenos días."))
    store.fail(job.id, "no model")

    assert store.reopen(job.id)

    assert (now(store, job).status, now(store, job).error, now(store, job).finished_at) == ("queued", None, None)
    assert store.chunks(job.id) == {0: Part("Buenos días.")}
    assert [client.ttl(key) for key in client.scan_iter("tandem:translation:*")] == [-1, -1]


def test_only_a_failure_is_retried(store: Store, job: Translation) -> None:
    assert not store.reopen(job.id)
    store.finish(job.id, begin(store, job), "Buenos días.")
    assert not store.reopen(job.id)


def test_a_translation_that_waits_never_expires_and_an_ended_one_does(
    store: Store, job: Translation, client: FakeRedis
) -> None:
    run = begin(store, job)
    store.add_chunk(job.id, run, 0, Part("Buenos días."))
    store.requeue(job.id, run, error="busy")
    assert [client.ttl(key) for key in client.scan_iter("tandem:translation:*")] == [-1, -1]

    store.finish(job.id, begin(store, job), "Buenos días.")
    assert [client.ttl(key) for key in client.scan_iter("tandem:translation:*")] == [60]


def test_finished_chunks_are_counted_once_each(store: Store, job: Translation) -> None:
    run = begin(store, job, total=2)
    for _ in range(2):
        store.add_chunk(job.id, run, 1, Part("tres"))
    store.add_chunk(job.id, run, 0, Part("uno"))

    assert store.chunks(job.id) == {0: Part("uno"), 1: Part("tres")}
    assert (now(store, job).done, now(store, job).total) == (2, 2)


def test_a_deleted_translation_cannot_be_changed(store: Store, job: Translation, client: FakeRedis) -> None:
    run = begin(store, job)
    client.flushall()
    assert store.get(job.id) is None
    assert not store.finish(job.id, run, "Buenos días.")
    assert store.get(job.id) is None


def test_pages_give_every_translation_once_the_newest_first(
    store: Store, client: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(f"2026-11-22T10:00:{second:02}.000Z" for second in range(5))
    monkeypatch.setattr("app.translation.store._now", lambda: next(times))
    ids = [new(store, client).id for _ in range(5)]

    seen, after = [], None
    while True:
        page, after = store.page(limit=2, after=after)
        seen.append([translation.id for translation in page])
        if after is None:
            break

    assert seen == [ids[:2:-1], ids[2:0:-1], ids[:1]]


def test_expired_translations_leave_the_list(client: FakeRedis) -> None:
    store = Store(client, retention=1)
    first, second = new(store, client), new(store, client)
    store.cancel(first.id)
    client.zadd("tandem:translations:ended", {store.record(first).member: 1})  # long ago

    begin(store, second)

    assert [translation.id for translation in store.page(limit=10)[0]] == [second.id]
    assert (client.zcard("tandem:translations"), client.zcard("tandem:translations:ended")) == (1, 0)


def test_the_text_of_a_cancelled_translation_is_deleted_immediately(
    store: Store, job: Translation, client: FakeRedis
) -> None:
    key = f"tandem:translation:{job.id}"
    assert client.hexists(key, "text")
    assert store.cancel(job.id)
    assert not client.hexists(key, "text") and not client.hexists(key, "glossary")
    cancelled = store.get(job.id)
    assert cancelled and (cancelled.status, cancelled.text) == ("cancelled", "")


def test_a_cancelled_translation_stays_cancelled(store: Store, job: Translation) -> None:
    run = begin(store, job)
    assert store.cancel(job.id)

    assert not store.cancel(job.id)
    assert not store.add_chunk(job.id, run, 0, Part("uno"))
    assert not store.note_characters(job.id, run, 7)
    assert not store.finish(job.id, run, "uno")
    assert now(store, job).status == "cancelled"


def test_every_change_is_published_with_its_version(store: Store, job: Translation, client: FakeRedis) -> None:
    listener = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    listener.subscribe(changes_channel(job.id))
    run = begin(store, job, total=2)
    store.note_characters(job.id, run, 7)
    store.add_chunk(job.id, run, 0, Part("uno"))

    notified = [message["data"] for _ in range(4) if (message := listener.get_message())]
    assert notified == ["1", "2", "3"]
    assert store.state(job.id) == State("running", done=1, total=2, characters=0, error=None, version=3)
    assert store.state("unknown") is None
