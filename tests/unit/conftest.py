"""The application on a Redis inside the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from fakeredis import FakeRedis, FakeServer
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from app import settings
from app.queueing import broker
from tests.unit.engine import Clock, new_redis

# How long an example takes says something about the machine only.
hypothesis_settings.register_profile("tandem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("tandem")


@pytest.fixture(scope="session")
def redis_server() -> FakeServer:
    """One for all tests: dramatiq's actors keep the connection that they were declared with."""
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
    """One of the test's own, with nothing in it."""
    return new_redis()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Rules the time of everything in this test."""
    clock = Clock()
    clock.rule(monkeypatch)
    return clock


@pytest.fixture
def application(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Flask:
    from app.web.application import create_app

    monkeypatch.setenv("OLLAMA_URL", "http://127.0.0.1:9")  # discard: nothing listens there
    # Its counts would be the only keys that a refused request leaves.
    monkeypatch.setenv("RATE_LIMIT", "0")
    monkeypatch.setenv("OLLAMA_MODELS", "*")
    settings.current.cache_clear()
    made = create_app()
    take_all_actors()
    return made


def take_all_actors() -> None:
    """Actors belong to the broker of the test that imported them first, and there is one for each set of settings."""
    installed = broker.install(settings.current())
    dramatiq.set_broker(installed)
    modules = [module for name, module in sys.modules.items() if name.startswith("app.")]
    for actor in [value for module in modules for value in vars(module).values() if isinstance(value, dramatiq.Actor)]:
        actor.broker = installed
        installed.declare_queue(actor.queue_name)
        installed.declare_actor(actor)


@pytest.fixture
def client(application: Flask) -> FlaskClient:
    return application.test_client()
