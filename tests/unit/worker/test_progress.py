"""Deliveries that put the rest of their message off: those that did a part, and those that did nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import dramatiq
import pytest
from fakeredis import FakeRedis

from tandem.broker.broker import Broker
from tandem.broker.errors import NoProgress, Snooze
from tandem.testing.stopped_clock import Clock
from tandem.worker.executor import Executor
from tests.unit.harness import broker_on, send

HOUR = 3600


def deliver(broker: Broker, clock: Clock, *, times: int = 50) -> list[str]:
    """How each delivery of the only message ended, until there is nothing left of it or it came `times` times."""
    results: list[str] = []
    for _ in range(times):
        delivery, _due = broker.store.claim_batch(("default",), 1)
        if not delivery:
            break
        outcome = Executor(broker).run(delivery[0])
        broker.store.ack("default", [outcome])
        results.append(outcome.result)
        clock.forward(HOUR)
    return results


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    return broker_on(redis_)


def declare(broker: Broker, act: Callable[[str], object]) -> list[BaseException]:
    """An actor that does this and has 3 retries; the list gets what it failed with."""
    failures: list[BaseException] = []
    dramatiq.actor(broker=broker, actor_name="work", max_retries=3, on_failed=lambda _, error: failures.append(error))(
        act
    )
    send(broker, "a")
    return failures


def test_a_message_that_never_makes_progress_becomes_a_dead_letter_that_says_so(broker: Broker, clock: Clock) -> None:
    def act(_: str) -> None:
        raise Snooze("the worker leaves", progress=0)

    failures = declare(broker, act)
    assert deliver(broker, clock) == ["retried", "retried", "retried", "failed"]
    (letter,) = broker.dead_letters.newest(["default"], limit=10)
    assert letter.kind.error == "NoProgress" and letter.attempt_count == 4
    assert "no progress" in letter.message and "the worker leaves" in letter.message
    assert [type(failure) for failure in failures] == [NoProgress]


@pytest.mark.parametrize("progress", [None, 7])
def test_progress_that_is_not_said_or_does_not_grow_counts_as_none(
    broker: Broker, clock: Clock, progress: float | None
) -> None:
    def act(_: str) -> None:
        raise Snooze(progress=progress)

    declare(broker, act)
    results = deliver(broker, clock)
    assert results[-1] == "failed" and len(results) == (4 if progress is None else 5)


def test_a_message_that_makes_progress_goes_on_as_often_as_it_takes(broker: Broker, clock: Clock) -> None:
    done = count(1)

    def act(_: str) -> None:
        if (number := next(done)) < 30:
            raise Snooze(progress=number)

    declare(broker, act)
    assert deliver(broker, clock) == ["snoozed"] * 29 + ["completed"]


def test_waiting_for_what_the_work_needs_is_no_attempt(broker: Broker, clock: Clock) -> None:
    def act(_: str) -> None:
        raise Snooze(delay=1000)

    declare(broker, act)
    assert deliver(broker, clock, times=20) == ["snoozed"] * 20


def test_a_stop_takes_no_attempt_of_a_message_that_had_no_chance(broker: Broker, clock: Clock) -> None:
    def act(_: str) -> None:
        raise Snooze(progress=0)

    declare(broker, act)
    broker.draining.set()
    assert deliver(broker, clock, times=10) == ["snoozed"] * 10


def test_a_message_that_makes_its_workers_outgrow_their_memory_again_and_again_becomes_a_dead_letter(
    broker: Broker, clock: Clock
) -> None:
    def act(_: str) -> None:
        raise Snooze(progress=0)

    declare(broker, act)
    broker.over_memory_limit.set()
    broker.draining.set()
    assert deliver(broker, clock) == ["retried", "retried", "retried", "failed"]


def test_a_requeued_dead_letter_starts_without_its_progress(broker: Broker, clock: Clock) -> None:
    def act(_: str) -> None:
        raise Snooze(progress=5)

    declare(broker, act)
    assert deliver(broker, clock)[-1] == "failed"
    (letter,) = broker.dead_letters.newest(["default"], limit=10)
    assert letter.options["progress"] == 5
    assert b"progress" not in (letter.requeued_payload(0) or b"").replace(b"no progress", b"")
