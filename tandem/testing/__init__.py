"""A pytest plugin for the tests of an application: `pytest_plugins = ["tandem.testing"]` in a conftest.py.

| fixture | what it is |
| --- | --- |
| database | the tables of the application without rows, in SQLite or in DATABASE_URL |
| client | Flask's test client of the application, on a Redis inside the test's process |
| queue | the messages of this test: `queue.sent("actor")`, `queue.run_all()`, `queue.failed()` |
| redis_away | a context manager: Redis does not answer inside it |
| clock | a clock that stands still until `clock.forward(seconds)` |
| container | starts the image under test: `container(SETTING="value")`; needs Docker and the extra `testing` |
| postgres | the URL of an empty PostgreSQL, for `container(DATABASE_URL=postgres)` |
| environment | sets variables for this test: `environment(GREETING="Welcome")` |

Nothing has to be imported in a certain order. Settings are those of the environment; they are read once, so a test sets
them with `environment`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from fakeredis import FakeRedis, FakeServer

import tandem.runtime
from tandem.config import settings
from tandem.testing.sent_messages import Queue
from tandem.testing.stopped_clock import Clock

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from testcontainers.core.network import Network

    from tandem.testing.running_container import RunningContainer

#: Names the image under test for the fixture `container`.
IMAGE_VARIABLE = "TANDEM_TEST_IMAGE"
#: Names the image of the fixture `postgres`.
POSTGRES_VARIABLE, POSTGRES_IMAGE = "TANDEM_TEST_POSTGRES_IMAGE", "postgres:17"


@pytest.fixture
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A Redis inside the test's process, which every client of this test connects to."""
    server = FakeServer()

    def connect(_url: str, *, decode_responses: bool = False, **_options: Any) -> redis.Redis:
        return FakeRedis(server=server, decode_responses=decode_responses)

    monkeypatch.setattr(redis.Redis, "from_url", connect)
    # One address sends all requests of a test.
    monkeypatch.setenv("RATE_LIMIT", os.environ.get("RATE_LIMIT", "0"))
    monkeypatch.setenv("REDIS_URL", "redis://in-this-process:6379")
    settings.reset()
    tandem.runtime.unbind()
    yield server
    settings.reset()
    tandem.runtime.unbind()


@pytest.fixture
def queue(_server: FakeServer) -> Queue:
    """The messages that this test sends."""
    from tandem import registry

    registry.load(settings.current())
    broker = tandem.runtime.get_broker()
    if broker.unit_of_work is not None:
        from tandem.sql import outbox

        # What a request has sent is there when its answer is.
        outbox.relay().in_background = False
    return Queue(broker)


@pytest.fixture
def database(_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database with the schema of the application and without rows: a file of this test, or that of DATABASE_URL."""
    from tandem import registry
    from tandem.sql import engine, migrations

    if not os.environ.get("DATABASE_URL"):
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    settings.reset()
    histories = migrations.histories(registry.load(settings.current()))
    migrations.upgrade(engine.engine(), histories, seconds=60)
    yield
    migrations.delete_rows(engine.engine(), histories)
    engine.dispose()


@pytest.fixture
def client(queue: Queue) -> FlaskClient:
    """Flask's test client of the application."""
    from tandem.web.application import create_app

    return create_app().test_client()


@pytest.fixture
def redis_away(_server: FakeServer) -> Callable[[], AbstractContextManager[None]]:
    """Return a context manager in which Redis does not answer."""

    @contextmanager
    def away() -> Iterator[None]:
        _server.connected = False
        try:
            yield
        finally:
            _server.connected = True

    return away


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of all code in this test; it stands still until `forward`."""
    clock = Clock()
    clock.rule(monkeypatch)
    return clock


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that sets environment variables for this test: `environment(GREETING="Welcome")`.

    Settings are read once in a process; this makes them be read again, also after the test.
    """

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.reset()

    yield set_all
    settings.reset()


@pytest.fixture
def _network() -> Iterator[Network]:
    """Return a network of Docker for the containers of this test."""
    from testcontainers.core.network import Network

    with Network() as network:
        yield network


@pytest.fixture
def postgres(_network: Network) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL for the containers of this test: `container(DATABASE_URL=postgres)`.

    TANDEM_TEST_POSTGRES_IMAGE names its image, `postgres:17` if it is not set. The server goes away with the test.
    """
    from tandem.testing.postgres_container import PostgresContainer

    server = PostgresContainer(os.environ.get(POSTGRES_VARIABLE) or POSTGRES_IMAGE, _network)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., RunningContainer]]:
    """Return a function that starts the image under test with these settings and waits until it is healthy.

    `container(GREETING="Welcome", files={"/run/secrets/token": "…"})`: files are mounted, readable for all. The image
    is that of TANDEM_TEST_IMAGE. When it does not become healthy, the error has its log.
    """
    from tandem.testing.running_container import RunningContainer

    network = request.getfixturevalue("_network") if "postgres" in request.fixturenames else None
    started: list[RunningContainer] = []

    def start(*, files: Mapping[str, str] | None = None, **environment: str) -> RunningContainer:
        image = os.environ.get(IMAGE_VARIABLE)
        if not image:
            raise pytest.UsageError(f"no image under test: set {IMAGE_VARIABLE}=NAME, as bin/test does")
        volumes: dict[str, str] = {}
        for inside, text in (files or {}).items():
            path = tmp_path / f"{len(volumes)}-{Path(inside).name}"
            path.write_text(text)
            path.chmod(0o644)
            volumes[str(path)] = inside
        chosen = {"RATE_LIMIT": "0", **environment}
        one = RunningContainer(image, chosen, network=network, volumes=volumes).start()
        started.append(one)
        try:
            return one.await_healthy()
        except Exception as error:
            raise AssertionError(f"{image} is not healthy: {error}\n{one.logs()}") from error

    yield start
    for one in started:
        one.remove()
