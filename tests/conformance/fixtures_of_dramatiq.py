"""The fixtures that dramatiq's tests expect, for one of three brokers; becomes the conftest.py beside them.

CONFORMANCE_BROKER: stub (dramatiq's StubBroker, for which the tests are written), redis (dramatiq's RedisBroker in its
place, which shows what is StubBroker's own business) or tandem. CONFORMANCE_REDIS: the port of a Redis on loopback.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.rate_limits import backends as limits
from dramatiq.results import backends as results

from tests.conformance.adapter import TandemBroker, TandemWorker, running

MODE = os.environ["CONFORMANCE_BROKER"]
PORT = int(os.environ["CONFORMANCE_REDIS"])


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """An empty Redis."""
    client = redis.Redis(port=PORT, socket_timeout=5)
    client.flushall()
    yield client
    client.flushall()
    client.close()


class PatientRedisBroker(RedisBroker):
    """Whose `join` takes the option of StubBroker."""

    def join(self, queue_name: str, *, fail_fast: bool = True, **options: Any) -> None:
        options.setdefault("timeout", 15_000)
        super().join(queue_name, **options)


def _broker(client: redis.Redis, *, stub: bool) -> Broker:
    if MODE == "tandem":
        return TandemBroker(client, fail_fast=stub)
    return StubBroker() if stub and MODE == "stub" else PatientRedisBroker(client=client)  # type: ignore[no-untyped-call]


def _used(broker: Broker) -> Iterator[Broker]:
    broker.emit_after("process_boot")
    dramatiq.set_broker(broker)
    yield broker
    broker.flush_all()
    broker.emit_before("process_stop")
    broker.close()


def new_worker(broker: Broker, **options: Any) -> Any:
    """Return a worker for the broker under test."""
    return TandemWorker(broker, **options) if isinstance(broker, TandemBroker) else dramatiq.Worker(broker, **options)


@pytest.fixture
def stub_broker(client: redis.Redis) -> Iterator[Broker]:
    yield from _used(_broker(client, stub=True))


@pytest.fixture
def redis_broker(client: redis.Redis) -> Iterator[Broker]:
    yield from _used(_broker(client, stub=False))


@pytest.fixture
def stub_worker(stub_broker: Broker) -> Iterator[Any]:
    with running(new_worker(stub_broker, worker_timeout=100, worker_threads=32)) as worker:
        yield worker


@pytest.fixture
def redis_worker(redis_broker: Broker) -> Iterator[Any]:
    with running(new_worker(redis_broker, worker_threads=32)) as worker:
        yield worker


@pytest.fixture(params=["redis", "stub"])
def rate_limiter_backend(request: pytest.FixtureRequest, client: redis.Redis) -> Any:
    return limits.RedisBackend(client=client) if request.param == "redis" else limits.StubBackend()


@pytest.fixture(params=["redis", "stub"])
def result_backend(request: pytest.FixtureRequest, client: redis.Redis) -> Any:
    return results.RedisBackend(client=client) if request.param == "redis" else results.StubBackend()


@pytest.fixture
def redis_result_backend(client: redis.Redis) -> Any:
    return results.RedisBackend(client=client)


@pytest.fixture
def pickle_encoder() -> Iterator[Any]:
    before, encoder = dramatiq.get_encoder(), dramatiq.PickleEncoder()
    dramatiq.set_encoder(encoder)
    yield encoder
    dramatiq.set_encoder(before)
