"""Packages that are made for dramatiq do with Tandem's broker and worker what their users expect of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import dramatiq
import dramatiq_abort
import pytest
import sentry_sdk
from dramatiq.errors import RateLimitExceeded
from dramatiq.middleware.prometheus import Prometheus
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import RedisBackend
from dramatiq_abort.backends import RedisBackend as AbortBackend
from fakeredis import FakeRedis
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dramatiq import DramatiqIntegration, SentryMiddleware
from sentry_sdk.transport import Transport

from tandem.broker.broker import Broker
from tandem.worker.loop import Worker
from tests.unit.harness import FIRST, broker_on, eventually


@contextmanager
def worker_of(broker: Broker) -> Iterator[None]:
    """Run a worker with two threads on the queue `default`."""
    worker = Worker(broker, queues=("default",), threads=2)
    broker.emit_after("process_boot")
    worker.start()
    try:
        yield
    finally:
        worker.stop_claiming(5)
        worker.wait_until_idle(5)
        worker.stop(5)
        broker.emit_before("process_shutdown")


def is_empty(broker: Broker) -> bool:
    return broker.store.size("default") == 0


def fail(*_: object) -> None:
    raise ValueError("oh")


def test_a_result_is_stored_and_the_failure_of_the_last_attempt_as_well(redis_: FakeRedis) -> None:
    backend = RedisBackend(client=redis_)
    broker = broker_on(redis_, FIRST, Results(backend=backend))
    double = dramatiq.actor(broker=broker, actor_name="double", store_results=True)(lambda number: 2 * number)
    bad = dramatiq.actor(broker=broker, actor_name="bad", store_results=True, max_retries=1, retry_delay=0)(fail)

    with worker_of(broker):
        assert double.send(21).get_result(backend=backend, block=True, timeout=5000) == 42
        with pytest.raises(ResultFailure, match="actor raised ValueError: oh"):
            bad.send().get_result(backend=backend, block=True, timeout=5000)


def value(counter: Any, actor: str) -> float:
    """Return the value of a counter for an actor."""
    samples = [sample for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return sum(float(sample.value) for sample in samples if sample.labels["actor_name"] == actor)


def test_prometheus_counts_messages_errors_retries_and_rejections(
    redis_: FakeRedis,
) -> None:
    prometheus: Any = Prometheus()
    broker = broker_on(redis_, FIRST, prometheus)
    good = dramatiq.actor(broker=broker, actor_name="good")(lambda: None)
    bad = dramatiq.actor(broker=broker, actor_name="counted_bad", max_retries=2, retry_delay=0)(fail)

    with worker_of(broker):
        good.send()
        bad.send()
        eventually(lambda: is_empty(broker))

    assert value(prometheus.total_messages, "good") == 1
    assert value(prometheus.total_messages, "counted_bad") == 3
    assert value(prometheus.total_errored_messages, "counted_bad") == 3
    assert value(prometheus.total_retried_messages, "counted_bad") == 2
    assert value(prometheus.total_rejected_messages, "counted_bad") == 1


def test_an_aborted_message_does_not_run(redis_: FakeRedis) -> None:
    broker = broker_on(redis_, FIRST, dramatiq_abort.Abortable(backend=AbortBackend(client=redis_)))
    ran: list[int] = []
    work = dramatiq.actor(broker=broker, actor_name="work")(ran.append)
    aborted = work.send(1)
    work.send(2)

    dramatiq_abort.abort(aborted.message_id, middleware=broker.middleware_of(dramatiq_abort.Abortable))
    with worker_of(broker):
        eventually(lambda: is_empty(broker))

    assert ran == [2]


class Received(Transport):
    """Keeps what Sentry would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        if event := envelope.get_event():
            self.events.append(cast("dict[str, Any]", event))


@pytest.fixture
def sentry() -> Iterator[Received]:
    received = Received()
    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1",
        transport=received,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    yield received
    sentry_sdk.init()


def test_sentry_gets_what_an_actor_raises_but_not_what_it_expects(redis_: FakeRedis, sentry: Received) -> None:
    broker = broker_on(redis_, FIRST, SentryMiddleware())
    bad = dramatiq.actor(broker=broker, actor_name="bad", max_retries=0)(fail)

    def refuse() -> None:
        raise RateLimitExceeded("later")

    refused = dramatiq.actor(broker=broker, actor_name="refused", throws=RateLimitExceeded)(refuse)
    # Without the integration's patch of all brokers that are made later, also by other tests.
    sentry_sdk.get_client().integrations[DramatiqIntegration.identifier] = DramatiqIntegration()

    with worker_of(broker):
        bad.send()
        refused.send()
        eventually(lambda: is_empty(broker))

    (event,) = sentry.events
    assert event["transaction"] == "bad"
    assert event["exception"]["values"][0]["value"] == "oh"
