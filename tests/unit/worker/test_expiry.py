"""Messages that are not worth running any more."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
from fakeredis import FakeRedis

from tandem.broker.errors import Snooze
from tandem.testing.stopped_clock import Clock
from tandem.worker.age_limit import AgeLimit
from tandem.worker.executor import Executor
from tandem.worker.expiry import Expiry
from tests.unit.harness import FIRST, broker_on


@pytest.mark.parametrize("of", ["actor", "message"])
@pytest.mark.parametrize(("waited", "runs"), [(0.9, True), (1.1, False)])
def test_a_message_that_starts_too_late_is_skipped_and_completed(
    redis_: FakeRedis, clock: Clock, caplog: pytest.LogCaptureFixture, of: str, waited: float, runs: bool
) -> None:
    caplog.set_level("INFO")
    ran: list[int] = []
    broker = broker_on(redis_, FIRST, Expiry())
    expires: dict[str, Any] = {"expires": 1000}
    work = dramatiq.actor(broker=broker, actor_name="work", **(expires if of == "actor" else {}))(lambda: ran.append(1))
    work.send_with_options(**(expires if of == "message" else {}))
    clock.forward(waited)
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    assert Executor(broker).run(delivery).result == "completed"
    assert bool(ran) == runs
    assert ("skipped: it expired 100 ms ago" in caplog.text) != runs


def test_a_retry_does_not_expire(redis_: FakeRedis, clock: Clock) -> None:
    fails = iter([True, False])
    broker = broker_on(redis_, FIRST, Expiry())

    @dramatiq.actor(broker=broker, expires=1000)
    def work() -> None:
        if next(fails):
            raise ValueError

    work.send()
    for expected in ("retried", "completed"):
        ((delivery,), _) = broker.store.claim_batch(("default",), 1)
        outcome = Executor(broker).run(delivery)
        broker.store.ack("default", [outcome])
        assert outcome.result == expected
        clock.forward(5)
    assert next(fails, None) is None


def test_a_message_that_has_started_does_not_expire(redis_: FakeRedis, clock: Clock) -> None:
    broker = broker_on(redis_, FIRST, Expiry())
    ends: list[Any] = [Snooze(progress=1), ValueError("no"), None]

    @dramatiq.actor(broker=broker, expires=1000, max_retries=0)
    def work() -> None:
        if end := ends.pop(0):
            raise end

    def run() -> str:
        ((delivery,), _) = broker.store.claim_batch(("default",), 1)
        outcome = Executor(broker).run(delivery)
        broker.store.ack("default", [outcome])
        clock.forward(5)
        return outcome.result

    work.send()
    # Its worker dies while it runs.
    ((lost,), _) = broker.store.claim_batch(("default",), 1)
    broker.store.requeue("default", [lost.id], untouched=False)
    clock.forward(5)

    assert [run(), run()] == ["snoozed", "failed"]
    broker.dead_letters.retry(list(broker.dead_letters.newest(["default"], limit=1)))
    assert run() == "completed" and not ends


def test_a_dead_letter_that_is_retried_is_not_too_old(redis_: FakeRedis, clock: Clock) -> None:
    broker = broker_on(redis_, FIRST, AgeLimit())
    fails = iter([True, False])

    @dramatiq.actor(broker=broker, max_age=1000, max_retries=0)
    def work() -> None:
        if next(fails):
            raise ValueError

    work.send()
    for expected in ("failed", "completed"):
        ((delivery,), _) = broker.store.claim_batch(("default",), 1)
        outcome = Executor(broker).run(delivery)
        broker.store.ack("default", [outcome])
        assert outcome.result == expected
        clock.forward(5)
        broker.dead_letters.retry(list(broker.dead_letters.newest(["default"], limit=1)))
