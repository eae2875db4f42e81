"""Counters that all processes share."""

from __future__ import annotations

import threading

import pytest
import redis
from fakeredis import FakeRedis

from tandem.metrics import Counter, Histogram, instruments
from tandem.metrics.flusher import Flusher


def test_what_processes_count_is_added_up(redis_: FakeRedis) -> None:
    calls = Counter("shop_calls", "Calls.", ("model",))
    for _ in range(2):
        calls.add(model="small")
        calls.add(2, model="large")
        instruments.flush(redis_)
    instruments.flush(redis_)
    assert calls.read(redis_) == {("small",): {"": 2}, ("large",): {"": 4}}


def test_a_histogram_counts_each_value_in_the_first_bucket_that_holds_it(redis_: FakeRedis) -> None:
    times = Histogram("shop_seconds", "Times.", buckets=(0.1, 1))
    for value in (0.1, 0.5, 1.0, 7.0):
        times.observe(value)
    instruments.flush(redis_)
    assert times.read(redis_) == {(): {"1": 1, "2": 2, "3": 1, "sum": 8.6}}


def test_nothing_is_lost_while_redis_is_away(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Counter("shop_calls", "Calls.")
    calls.add()
    away = FakeRedis()
    monkeypatch.setattr(away, "eval", lambda *_: (_ for _ in ()).throw(redis.ConnectionError("away")))
    with pytest.raises(redis.ConnectionError):
        instruments.flush(away)
    calls.add()
    instruments.flush(redis_)
    assert calls.read(redis_) == {(): {"": 2}}


def test_invented_labels_are_bounded_in_the_process_and_in_redis(
    redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instruments, "MAX_SERIES", 3)
    for _ in range(2):
        pages = Counter("shop_pages", "Pages.", ("page",))
        for number in range(5):
            pages.add(page=f"{id(pages)}-{number}")
        instruments.flush(redis_)
    sums = pages.read(redis_)
    assert sum(parts[""] for parts in sums.values()) == 10
    assert len(sums) <= 4
    assert sums[("(other)",)] == {"": 7}


def test_a_label_that_would_break_the_format_is_made_safe(redis_: FakeRedis) -> None:
    pages = Counter("shop_pages", "Pages.", ("page",))
    pages.add(page="a\tb\n" + "x" * 1000)
    instruments.flush(redis_)
    assert list(pages.read(redis_)) == [("a?b?" + "x" * 116,)]


@pytest.mark.parametrize("name", ["Shop", "shop_total", "", "shop-calls", "x" * 200])
def test_a_name_against_the_conventions_is_refused_with_what_is_expected(name: str) -> None:
    with pytest.raises(ValueError, match=r"is invalid: expected names such as shop_orders"):
        Counter(name, "Calls.")


def test_other_labels_than_the_declared_ones_are_refused() -> None:
    with pytest.raises(TypeError, match="shop_calls: expected the labels model, got"):
        Counter("shop_calls", "Calls.", ("model",)).add()
    with pytest.raises(TypeError, match="shop_calls: expected the labels model, got"):
        Counter("shop_calls", "Calls.", ("model",)).add(kind="x")
    with pytest.raises(ValueError, match="a counter only grows"):
        Counter("shop_calls", "Calls.").add(-1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused_before_it_spoils_the_sums(value: float) -> None:
    with pytest.raises(ValueError, match="expected a number"):
        Histogram("shop_seconds", "Times.").observe(value)


def test_counts_that_redis_refuses_do_not_hold_up_the_others(redis_: FakeRedis) -> None:
    spoiled, fine = Counter("shop_aaa", "Spoiled."), Counter("shop_bbb", "Fine.")
    redis_.set(spoiled.keys()[0], "something else")
    for _ in range(2):
        spoiled.add()
        fine.add()
        instruments.flush(redis_)
    assert fine.read(redis_) == {(): {"": 2}}


def test_counts_of_a_container_are_forgotten_a_day_after_the_last(redis_: FakeRedis) -> None:
    requests = Counter("shop_requests", "Requests.", per_host=True)
    requests.add()
    instruments.flush(redis_)
    assert 0 < redis_.ttl(requests.keys()[0]) <= instruments.HOST_KEPT


def test_the_last_counts_are_stored_when_the_process_ends(redis_: FakeRedis) -> None:
    calls = Counter("shop_calls", "Calls.")
    flusher = Flusher(lambda: redis_)
    flusher.start()
    calls.add()
    flusher.stop()
    assert calls.read(redis_) == {(): {"": 1}}
    assert "metrics" not in {thread.name for thread in threading.enumerate() if not thread.daemon}
