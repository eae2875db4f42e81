"""The bytes of stored translations are counted correctly, bounded, and freed immediately."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
from fakeredis import FakeRedis
from flask.testing import FlaskClient

from app.translation.packing import pack, unpack
from app.translation.parts import Part
from app.translation.request import TranslationRequest
from app.translation.store import Store
from app.translation.stored import BYTES, RECORD_BYTES, TOTAL
from tandem.broker.errors import PermanentError, Purged
from tandem.config import settings
from tandem.health.checks import Status, run
from tandem.operate.control import Purge
from tandem.runtime import get_broker

pytestmark = pytest.mark.slow

LONG = "\n\n".join(f"Paragraph number {number} says good morning." for number in range(2000))
# A text that hardly compresses and has no language.
BODY = {"text": LONG, "source": "en", "target": "es"}


@pytest.fixture
def redis_() -> FakeRedis:
    return FakeRedis(decode_responses=True)


@pytest.fixture
def store(redis_: FakeRedis) -> Store:
    return Store(redis_, retention=60)


def new(store: Store, client: FakeRedis, text: str = LONG) -> str:
    job = store.create(TranslationRequest(text=text, target="es", glossary={"house": "casa"}), model="apertium")
    record = store.record(job)
    fields: Any = record.fields
    client.hset(record.key, mapping=fields)
    client.zadd(record.index, {record.member: 0})
    assert record.quota
    client.hset(BYTES, mapping={job.id: record.quota.bytes})
    client.hincrby(BYTES, TOTAL, record.quota.bytes)
    return job.id


def counted_right(store: Store, client: FakeRedis) -> int:
    """Return the total, and check that counting everything again does not change it."""
    before = cast("dict[str, str]", client.hgetall(BYTES))
    store.stored.count_all()
    assert client.hgetall(BYTES) == before
    assert int(before.get(TOTAL, 0)) == sum(int(size) for id_, size in before.items() if id_ != TOTAL)
    return store.stored.total()


@pytest.mark.parametrize("text", ["", "Hello.", LONG, "\x00zlib:no", "\x00zlib:" + "a" * 500, "😀" * 1000, "é\n" * 99])
def test_a_packed_text_is_unpacked(text: str) -> None:
    assert unpack(pack(text)) == text
    assert len(pack(text).encode()) <= max(len(text.encode()), 60)


def test_an_unpacked_text_that_looks_packed_is_read_unchanged() -> None:
    assert unpack("\x00zlib:%%%") == "\x00zlib:%%%"


def test_texts_parts_and_results_are_stored_small_and_read_whole(store: Store, redis_: FakeRedis) -> None:
    id_ = new(store, redis_)
    run_ = store.start(id_, total=1)
    assert run_
    assert store.add_chunk(id_, run_, 0, Part(LONG))
    assert store.chunks(id_)[0].text == LONG
    assert redis_.hstrlen(f"tandem:translation:{id_}:chunks", "0") < len(LONG) / 2
    assert store.finish(id_, run_, LONG)

    seen = store.get(id_)
    assert seen
    assert (seen.text, seen.translation) == (LONG, LONG)
    assert redis_.hstrlen(f"tandem:translation:{id_}", "text") < len(LONG) / 2
    assert redis_.hstrlen(f"tandem:translation:{id_}", "translation") < len(LONG) / 2


def test_a_record_of_an_earlier_version_is_read_and_counted(store: Store, redis_: FakeRedis) -> None:
    id_ = new(store, redis_)
    redis_.hset(f"tandem:translation:{id_}", mapping={"text": LONG, "glossary": '{"a":"b"}'})
    redis_.delete(BYTES)

    assert store.start(id_, total=1)

    seen = store.get(id_)
    assert seen
    assert (seen.text, seen.glossary) == (LONG, {"a": "b"})
    assert counted_right(store, redis_) > len(LONG)


def test_each_step_keeps_the_count_correct(store: Store, redis_: FakeRedis) -> None:
    id_ = new(store, redis_)
    sizes = [counted_right(store, redis_)]
    run_ = store.start(id_, total=3)
    assert run_
    for number in (0, 1, 1):
        store.add_chunk(id_, run_, number, Part(LONG[: 900 * (number + 1)]))
        sizes.append(counted_right(store, redis_))
    store.drop_chunks(id_, [0])
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3] > counted_right(store, redis_)
    store.fail(id_, "no model")
    counted_right(store, redis_)
    assert store.reopen(id_)
    counted_right(store, redis_)
    run_ = store.start(id_, total=3)
    assert run_
    store.finish(id_, run_, "corto")
    assert counted_right(store, redis_) < sizes[1]


def test_cancelling_frees_the_bytes_immediately(store: Store, redis_: FakeRedis) -> None:
    id_ = new(store, redis_)
    run_ = store.start(id_, total=3)
    assert run_
    store.add_chunk(id_, run_, 0, Part(LONG))
    assert store.cancel(id_)
    assert counted_right(store, redis_) < RECORD_BYTES + 100


def test_a_dropped_failure_stays_readable_and_cannot_be_retried(store: Store, redis_: FakeRedis) -> None:
    id_ = new(store, redis_)
    assert not store.drop(id_)
    store.fail(id_, "no model")
    assert store.drop(id_)
    assert counted_right(store, redis_) < RECORD_BYTES + 100
    assert not store.reopen(id_)
    state = store.state(id_)
    assert state
    assert (state.status, state.error) == ("failed", "no model")
    assert 0 < redis_.ttl(f"tandem:translation:{id_}") <= 60


def test_a_sweep_removes_expired_translations_only(store: Store, redis_: FakeRedis) -> None:
    ids = [new(store, redis_, "Hello.") for _ in range(250)]
    for id_ in ids[1:]:
        store.fail(id_, "no")
        redis_.delete(f"tandem:translation:{id_}")
    for member in cast("list[str]", redis_.zrange("tandem:translations:ended", 0, -1)):
        redis_.zadd("tandem:translations:ended", {member: 1})
    assert store.stored.sweep() > 249 * RECORD_BYTES
    assert set(cast("dict[str, str]", redis_.hgetall(BYTES))) == {ids[0], TOTAL}
    assert cast("list[str]", redis_.zrange("tandem:translations", 0, -1))[0].endswith(ids[0])
    counted_right(store, redis_)


def test_a_sweep_finds_deleted_translations(store: Store, redis_: FakeRedis) -> None:
    id_ = new(store, redis_)
    redis_.delete(f"tandem:translation:{id_}")
    assert store.stored.sweep() > RECORD_BYTES
    assert store.stored.total() == 0


@pytest.mark.parametrize("wrong", ["lost", "too much", "without some"])
def test_counting_all_corrects_a_wrong_count(store: Store, redis_: FakeRedis, wrong: str) -> None:
    ids = [new(store, redis_) for _ in range(3)]
    right = redis_.hgetall(BYTES)
    {
        "lost": lambda: redis_.delete(BYTES),
        "too much": lambda: redis_.hincrby(BYTES, TOTAL, 10**9),
        "without some": lambda: redis_.hdel(BYTES, ids[0]),
    }[wrong]()
    store.stored.count_all()
    assert redis_.hgetall(BYTES) == right


@pytest.fixture
def small_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TRANSLATION_STORE", "64K")
    settings.reset()
    yield
    settings.reset()


@pytest.fixture
def api(small_store: None, request: pytest.FixtureRequest) -> Iterator[FlaskClient]:
    client: FlaskClient = request.getfixturevalue("client")
    from app.translation import actors

    actors.store.cache_clear()
    yield client
    actors.store.cache_clear()


def fill(api: FlaskClient) -> tuple[list[str], Any]:
    """Return the ids of the accepted translations, and the first refusal."""
    ids: list[str] = []
    for _ in range(50):
        answer = api.post("/translations", json=BODY)
        if answer.status_code != 202:
            return ids, answer
        ids.append(answer.get_json()["id"])
    raise AssertionError("it is never full")


def test_a_full_store_answers_503_names_the_setting_and_stores_nothing(
    api: FlaskClient, redis_client: redis.Redis
) -> None:
    ids, refused = fill(api)
    before = sorted(cast("list[str]", redis_client.keys()))
    again = api.post("/translations", json=BODY, headers={"Idempotency-Key": "order-7"})

    assert len(ids) > 1
    for answer in (refused, again):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "64K (TRANSLATION_STORE)" in answer.get_json()["detail"]
    assert sorted(cast("list[str]", redis_client.keys())) == before
    assert redis_client.llen("dramatiq:translations") == len(ids)

    assert api.delete(f"/translations/{ids[0]}").status_code == 202
    assert api.post("/translations", json=BODY, headers={"Idempotency-Key": "order-7"}).status_code == 202


def test_accepted_translations_continue_in_a_full_store(api: FlaskClient) -> None:
    from app.translation import actors

    ids, _ = fill(api)
    run_ = actors.store().start(ids[0], total=1)
    assert run_
    assert actors.store().finish(ids[0], run_, LONG)
    assert api.get(f"/translations/{ids[0]}").get_json()["translation"] == LONG


def test_a_full_store_accepts_more_after_some_have_expired(api: FlaskClient, redis_client: redis.Redis) -> None:
    from app.translation import actors

    ids, _ = fill(api)
    actors.store().fail(ids[0], "no")
    (member,) = cast("list[str]", redis_client.zrange("tandem:translations:ended", 0, -1))
    redis_client.zadd("tandem:translations:ended", {member: 1})
    redis_client.delete(f"tandem:translation:{ids[0]}")
    assert api.post("/translations", json=BODY).status_code == 202


def test_a_purge_frees_the_bytes_of_all_queued_translations(api: FlaskClient, redis_client: redis.Redis) -> None:
    ids, _ = fill(api)
    broker = get_broker()
    list(Purge(broker.client, broker, "translations").run())
    assert int(cast("str", redis_client.hget(BYTES, TOTAL))) < len(ids) * (RECORD_BYTES + 100)
    seen = api.get(f"/translations/{ids[0]}").get_json()
    assert (seen["status"], seen["error"]) == ("failed", "removed from the queue translations by an operator")
    assert api.get(f"/translations/{ids[0]}/source").status_code == 410


@pytest.mark.usefixtures("api")
def test_only_a_failure_for_good_drops_the_text(api: FlaskClient) -> None:
    from app.translation import actors

    kept, dropped = (api.post("/translations", json=BODY).get_json()["id"] for _ in range(2))
    actors.give_up(actors.translate.message(kept), PermanentError("no model"))
    actors.give_up(actors.translate.message(dropped), Purged("by hand"))
    assert api.get(f"/translations/{kept}/source").status_code == 200
    assert actors.store().reopen(kept)
    assert not actors.store().reopen(dropped)


def test_the_check_warns_when_the_store_is_nearly_full(api: FlaskClient) -> None:
    from app.translation.workload import workload as translation

    def look() -> Any:
        checks = [check for check in translation.checks(settings.current()) if check.name == "translation store"]
        return run(checks)[0]

    assert look().status is Status.OK
    fill(api)
    seen = look()
    assert seen.status is Status.WARN
    assert "of 64K (TRANSLATION_STORE)" in seen.detail


def test_the_actor_is_notified_of_a_removed_dead_letter(
    api: FlaskClient, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    from app.translation import actors
    from tandem.broker import keys
    from tandem.broker.dead_letter import DeadLetter

    caplog.set_level(logging.ERROR)
    id_ = api.post("/translations", json=BODY).get_json()["id"]
    actors.store().fail(id_, "no model")
    message = actors.translate.message(id_)
    broker = get_broker()
    for name, died in (("gone", 5.0), ("anew", 6.0)):
        broker.client.zadd(keys.dead("translations"), {name: died})
        broker.client.hset(keys.dead_payloads("translations"), name, message.encode())

    assert broker.dead_letters.remove([DeadLetter("translations", "anew", 5.0)]) == 0
    assert api.get(f"/translations/{id_}/source").status_code == 200
    assert broker.dead_letters.remove([DeadLetter("translations", "gone", 5.0)]) == 1
    assert api.get(f"/translations/{id_}/source").status_code == 410
    assert api.get(f"/translations/{id_}").get_json()["error"] == "no model"
    assert not caplog.records
