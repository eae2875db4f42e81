"""The application on a Redis inside the test's own process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from fakeredis import FakeRedis, FakeServer
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tandem import runtime
from tandem.config import settings
from tandem.testing import clock  # noqa: F401  # a fixture
from tests.unit.harness import new_redis

# The duration of an example depends on the machine only.
hypothesis_settings.register_profile("tandem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("tandem")


@pytest.fixture(autouse=True)
def levels_of_logging() -> Iterator[None]:
    """Restore the levels of the platform's loggers after a test."""
    loggers = [logging.getLogger(name) for name in (None, "tandem", "app", "gunicorn")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def unbound_broker() -> Iterator[None]:
    """Let the broker of the process forget its Redis after a test: the next one may have another."""
    yield
    runtime.unbind()


@pytest.fixture(scope="session")
def redis_server() -> FakeServer:
    """One Redis for all tests: dramatiq's actors keep the connection that they were declared with."""
    return FakeServer()


@pytest.fixture
def redis_client(redis_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    def connect(_url: str, *, decode_responses: bool, **_options: Any) -> redis.Redis:
        return FakeRedis(server=redis_server, decode_responses=decode_responses)

    monkeypatch.setattr(redis.Redis, "from_url", connect)
    redis_server.connected = True
    with FakeRedis(server=redis_server, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_() -> FakeRedis:
    """An empty Redis for this test only."""
    return new_redis()


@pytest.fixture
def application(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Flask:
    from tandem.web.application import create_app

    # The counts of the rate limit would be the only keys that a refused request creates.
    monkeypatch.setenv("RATE_LIMIT", "0")
    settings.reset()
    return create_app()


@pytest.fixture
def client(application: Flask) -> FlaskClient:
    return application.test_client()
