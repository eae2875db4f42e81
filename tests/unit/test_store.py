"""Translations in Redis: a result is stored once, an end stays the end, and only ended ones expire."""

from __future__ import annotations

from typing import Any

import pytest
from fakeredis import FakeRedis

from app.translation.request import TranslationRequest
from app.translation.store import Store, Translation

ASKED = TranslationRequest(text="Good morning.", target="es")


@pytest.fixture
def client() -> FakeRedis:
    return FakeRedis(decode_responses=True)


@pytest.fixture
def store(client: FakeRedis) -> Store:
    return Store(client, retention=60)


@pytest.fixture
def job(store: Store, client: FakeRedis) -> Translation:
    job = store.create(ASKED, model="apertium")
    record = store.record(job)
    fields: Any = record.fields
    client.hset(record.key, mapping=fields)
    return job


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
    assert not store.add_chunk(job.id, run, 0, "Otra cosa.")
    assert not store.fail(job.id, "too late")
    assert not store.start(job.id, total=3)
    assert not store.requeue(job.id, run, error="too late")
    assert now(store, job) == ended
    assert (ended.status, ended.translation, ended.error) == ("done", "Buenos días.", None)


def test_a_run_that_another_one_has_taken_over_can_change_nothing(store: Store, job: Translation) -> None:
    thought_dead, successor = begin(store, job), begin(store, job)
    before = now(store, job)

    assert not store.add_chunk(job.id, thought_dead, 0, "uno")
    assert not store.requeue(job.id, thought_dead, error="too late")
    assert not store.finish(job.id, thought_dead, "uno")
    assert (now(store, job), store.chunks(job.id)) == (before, {})

    assert store.add_chunk(job.id, successor, 0, "dos")
    assert store.finish(job.id, successor, "dos")
    assert not store.finish(job.id, thought_dead, "uno")
    assert now(store, job).translation == "dos"


def test_a_failure_stays(store: Store, job: Translation) -> None:
    run = begin(store, job)
    assert store.fail(job.id, "no model")

    assert not store.finish(job.id, run, "Buenos días.")
    assert (now(store, job).status, now(store, job).error) == ("failed", "no model")


def test_a_failure_that_is_tried_again_goes_on_behind_its_chunks(
    store: Store, job: Translation, client: FakeRedis
) -> None:
    store.add_chunk(job.id, begin(store, job), 0, "Buenos días.")
    store.fail(job.id, "no model")

    assert store.reopen(job.id)

    assert (now(store, job).status, now(store, job).error, now(store, job).finished_at) == ("queued", None, None)
    assert store.chunks(job.id) == {0: "Buenos días."}
    assert [client.ttl(key) for key in client.scan_iter()] == [-1, -1]


def test_only_a_failure_is_tried_again(store: Store, job: Translation) -> None:
    assert not store.reopen(job.id)
    store.finish(job.id, begin(store, job), "Buenos días.")
    assert not store.reopen(job.id)


def test_a_translation_that_waits_never_expires_and_an_ended_one_does(
    store: Store, job: Translation, client: FakeRedis
) -> None:
    run = begin(store, job)
    store.add_chunk(job.id, run, 0, "Buenos días.")
    store.requeue(job.id, run, error="busy")
    assert [client.ttl(key) for key in client.scan_iter()] == [-1, -1]

    store.finish(job.id, begin(store, job), "Buenos días.")
    assert [client.ttl(key) for key in client.scan_iter()] == [60]


def test_finished_chunks_are_counted_once_each(store: Store, job: Translation) -> None:
    run = begin(store, job, total=2)
    for _ in range(2):
        store.add_chunk(job.id, run, 1, "tres")
    store.add_chunk(job.id, run, 0, "uno")

    assert store.chunks(job.id) == {0: "uno", 1: "tres"}
    assert (now(store, job).done, now(store, job).total) == (2, 2)


def test_what_is_gone_cannot_be_changed(store: Store, job: Translation, client: FakeRedis) -> None:
    run = begin(store, job)
    client.flushall()
    assert store.get(job.id) is None
    assert not store.finish(job.id, run, "Buenos días.")
    assert store.get(job.id) is None
