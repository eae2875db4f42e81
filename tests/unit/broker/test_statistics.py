"""Counts and times: nothing that ended within a window is missing, and figures are as exact as they say."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import redis
from fakeredis import FakeRedis
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.broker import keys, statistics
from tandem.broker.statistics import DAY, HOUR, MINUTE, STEPS, TIMES_KEPT, Counts, LatencySummary
from tests.unit import written

NOW = 1_795_000_000.25
ACTOR = "summarize"
# From a millisecond to eleven days.
milliseconds = st.floats(min_value=1.001, max_value=1e9)


@pytest.fixture(params=[True, False], ids=["decoding client", "client of the broker"])
def client(request: pytest.FixtureRequest) -> redis.Redis:
    return FakeRedis(decode_responses=request.param)


@given(st.lists(milliseconds, min_size=1), st.integers(1, 100))
def test_a_percentile_is_off_by_five_per_cent_at_most(values: list[float], per_cent: int) -> None:
    exact = sorted(values)[math.ceil(len(values) * per_cent / 100) - 1]

    found = statistics.percentile(Counter(map(statistics.bucket, values)), per_cent)

    assert found == pytest.approx(exact, rel=0.05)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_below_a_millisecond_a_percentile_is_off_by_half_of_one_at_most(values: list[float]) -> None:
    found = statistics.percentile(Counter(map(statistics.bucket, values)), 95)

    assert found == pytest.approx(sorted(values)[math.ceil(len(values) * 0.95) - 1], abs=0.5)


@given(milliseconds)
def test_a_bucket_ends_at_its_upper_edge(value: float) -> None:
    number = statistics.bucket(value)

    assert value <= statistics.upper_edge(number) * (1 + 1e-9)
    assert number == 0 or value >= statistics.upper_edge(number - 1) * (1 - 1e-9)


@pytest.mark.parametrize(("seconds", "step"), [(MINUTE, 1), (600, 60), (HOUR, 60), (DAY, 900)])
@settings(deadline=None)
@given(age=st.floats(0, DAY + 2000), offset=st.floats(0, 900))
def test_a_window_has_all_that_ended_within_it_and_at_most_one_stretch_more(
    seconds: int, step: int, age: float, offset: float
) -> None:
    client, now = FakeRedis(), NOW + offset
    written.ended(client, ACTOR, "completed", now - age)

    found = statistics.window(client, seconds, now)

    if age <= seconds:
        assert found == {ACTOR: Counts(completed=1)}
    elif age > seconds + step:
        assert found == {}


@pytest.mark.parametrize(
    ("seconds", "step", "kept"),
    [(MINUTE, 1, STEPS[1]), (HOUR, 60, STEPS[60]), (HOUR, 60, TIMES_KEPT), (DAY, 900, STEPS[900])],
)
def test_every_stretch_is_kept_for_as_long_as_its_window_reads_it(seconds: int, step: int, kept: int) -> None:
    # Its first message can end at its very beginning, and it is read until it is `seconds` before the current one.
    assert kept >= seconds + step


def test_a_window_longer_than_what_is_kept_is_refused(client: redis.Redis) -> None:
    with pytest.raises(ValueError):
        statistics.window(client, DAY + 1, NOW)


def test_outcomes_are_added_up_for_each_actor(client: redis.Redis) -> None:
    for age in (0, 1, 30):
        written.ended(client, ACTOR, "completed", NOW - age, times=2)
    written.ended(client, ACTOR, "retried", NOW)
    written.ended(client, "invoice\tsend", "failed", NOW, times=3)

    assert statistics.window(client, MINUTE, NOW) == {
        ACTOR: Counts(completed=6, retried=1),
        "invoice\tsend": Counts(failed=3),
    }


def test_an_outcome_of_a_newer_version_does_not_disturb(client: redis.Redis) -> None:
    written.ended(client, ACTOR, "postponed", NOW)

    assert statistics.window(client, MINUTE, NOW) == {ACTOR: Counts()}


def test_means_are_exact_to_the_microsecond_over_all_minutes_of_the_hour(client: redis.Redis) -> None:
    written.ended(client, ACTOR, "completed", NOW, wait_ms=0.5, run_ms=1000)
    written.ended(client, ACTOR, "failed", NOW - 1800, wait_ms=2.5, run_ms=2000, times=2)
    written.ended(client, ACTOR, "completed", NOW - HOUR - 61, wait_ms=9999, run_ms=9999)

    found = statistics.times(client, NOW)

    assert set(found) == {ACTOR}
    assert (found[ACTOR].wait.count, found[ACTOR].run.count) == (3, 3)
    assert found[ACTOR].wait.mean_ms == pytest.approx(5.5 / 3, abs=0.001)
    assert found[ACTOR].run.mean_ms == pytest.approx(5000 / 3, abs=0.001)


def test_one_slow_message_in_twenty_does_not_move_the_95th_percentile_and_two_do(client: redis.Redis) -> None:
    written.ended(client, ACTOR, "completed", NOW, run_ms=10, times=19)
    written.ended(client, ACTOR, "completed", NOW - 120, run_ms=60_000)
    assert statistics.times(client, NOW)[ACTOR].run.p95_ms == pytest.approx(10, rel=0.05)

    written.ended(client, ACTOR, "completed", NOW - 240, run_ms=60_000)
    assert statistics.times(client, NOW)[ACTOR].run.p95_ms == pytest.approx(60_000, rel=0.05)


def test_without_measurements_nothing_is_reported(client: redis.Redis) -> None:
    client.hset(keys.times(int(NOW) // 60), f"{ACTOR}\trun\t0", 0)

    assert statistics.times(client, NOW)[ACTOR] == statistics.Times(LatencySummary(), LatencySummary())
    assert statistics.times(FakeRedis(), NOW) == {}
    assert statistics.window(FakeRedis(), DAY, NOW) == {}


def test_a_day_is_read_in_one_round_trip(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    written.ended(client, ACTOR, "completed", NOW - 3 * HOUR)
    monkeypatch.setattr(type(client), "execute_command", None)  # what a command outside of a pipeline would call

    assert statistics.window(client, DAY, NOW) == {ACTOR: Counts(completed=1)}
