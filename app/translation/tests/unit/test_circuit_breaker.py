"""The circuit breaker of a model: one translation tries the model for all, the others return one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fakeredis import FakeRedis, FakeServer

from app.translation import circuit_breaker
from app.translation.circuit_breaker import CircuitBreaker, Decision
from tandem.testing.stopped_clock import Clock


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(FakeRedis(server=FakeServer(), decode_responses=True))


def test_calls_proceed_until_the_breaker_trips_and_after_it_is_reset(breaker: CircuitBreaker) -> None:
    assert breaker.allow("m") == Decision("proceed")
    breaker.trip("m", "away")
    assert breaker.reason("library/M") == "away"
    breaker.reset("m:latest")
    assert (breaker.allow("m"), breaker.reason("m")) == (Decision("proceed"), None)


def test_one_translation_tries_for_all_and_the_others_get_delays_of_their_own(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.trip("m", "away")
    clock.forward(1)

    first, *others = [breaker.allow("m") for _ in range(1001)]

    assert first == Decision("try", 0, "away")
    assert {one.action for one in others} == {"wait"}
    delays = sorted(one.delay for one in others)
    assert all(later - sooner >= circuit_breaker.SPACING for sooner, later in pairwise(delays))
    assert breaker.allow("other") == Decision("proceed")


def test_failed_trials_back_off_and_other_failures_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.trip("m", "away")
    pauses = []
    for _ in range(7):
        for _ in range(5):
            breaker.trip("m", "also away")
        waited = 0
        while breaker.allow("m").action == "wait":
            clock.forward(0.25)
            waited += 250
        pauses.append(waited)
        breaker.trip("m", "still away", tried=True)

    assert pauses == [1000, 2000, 4000, 8000, 15000, 15000, 15000]
    assert breaker.reason("m") == "still away"


def test_another_worker_takes_over_the_trial_of_a_dead_worker(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.trip("m", "away")
    clock.forward(1)
    assert breaker.allow("m").action == "try"
    for _ in range(5):
        clock.forward(circuit_breaker.TRIAL_TIMEOUT / 1000 - 1)
        breaker.heartbeat("m")
        assert breaker.allow("m").action == "wait"
    clock.forward(circuit_breaker.TRIAL_TIMEOUT / 1000)
    assert breaker.allow("m").action == "try"


def test_a_late_heartbeat_does_not_trip_a_breaker_that_was_reset(breaker: CircuitBreaker) -> None:
    breaker.heartbeat("m")
    assert breaker.allow("m") == Decision("proceed")


def test_an_answered_call_is_remembered_for_a_while(breaker: CircuitBreaker) -> None:
    assert not breaker.answered_recently()
    breaker.record_answer(seconds=30)
    assert breaker.answered_recently()
