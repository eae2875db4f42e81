"""The answer cache is bounded, evicts the least recently used answer, and its failure stops no translation."""

from __future__ import annotations

import pytest
from fakeredis import FakeRedis, FakeServer

from app.translation.cache import ENTRY_BYTES, KEYS, Cache
from tandem.testing.stopped_clock import Clock


@pytest.fixture
def client() -> FakeRedis:
    return FakeRedis(decode_responses=True)


def cache(client: FakeRedis, records: int) -> Cache:
    """Return a cache for this many answers of ten bytes."""
    return Cache(client, max_bytes=records * (ENTRY_BYTES + 10), retention=60)


def answer(number: int) -> str:
    return f"answer {number:03}"


def test_an_answer_is_returned_for_the_same_question_only(client: FakeRedis) -> None:
    answers = cache(client, 2)
    answers.put(["m", "en", "es", "Hello."], "Hola.")

    assert answers.get(["m", "en", "es", "Hello."]) == "Hola."
    assert answers.get(["m", "en", "fr", "Hello."]) is None


def test_the_least_recently_used_answer_is_evicted(client: FakeRedis, clock: Clock) -> None:
    answers = cache(client, 3)
    for number in range(3):
        answers.put(number, answer(number))
        clock.forward(1)
    assert answers.get(0) == answer(0)
    clock.forward(1)

    answers.put(3, answer(3))

    assert [answers.get(number) for number in range(4)] == [answer(0), None, answer(2), answer(3)]


def test_the_cache_never_exceeds_its_limit(client: FakeRedis) -> None:
    answers = cache(client, 5)
    for number in range(50):
        answers.put(number, answer(number))

        assert client.hlen(KEYS[0]) == client.zcard(KEYS[1]) <= 5
        assert int(client.get(KEYS[2]) or 0) == client.hlen(KEYS[0]) * (ENTRY_BYTES + 10)


def test_an_answer_that_is_too_large_evicts_no_other(client: FakeRedis) -> None:
    answers = cache(client, 2)
    answers.put(0, answer(0))

    answers.put(1, "x" * 1000)

    assert (answers.get(0), answers.get(1)) == (answer(0), None)


def test_a_lowered_limit_is_reached(client: FakeRedis) -> None:
    for number in range(50):
        cache(client, 50).put(number, answer(number))

    cache(client, 5).put(50, answer(50))

    assert client.hlen(KEYS[0]) == client.zcard(KEYS[1]) == 5


def test_unused_answers_expire(client: FakeRedis) -> None:
    cache(client, 2).put(0, answer(0))

    assert all(0 < client.ttl(key) <= 60 for key in KEYS)


def test_without_redis_nothing_is_found_and_nothing_fails() -> None:
    server = FakeServer()
    answers = cache(FakeRedis(server=server, decode_responses=True), 2)
    server.connected = False

    answers.put(0, answer(0))
    assert answers.get(0) is None
