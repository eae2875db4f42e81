"""Real containers of the images that bin/test has built, and their logs in the report of a test that failed."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.integration.containers import add_logs, running, running_until_left
from tests.integration.tandem import IMAGE, LABEL, Receiver, Tandem


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and "network" in getattr(item, "fixturenames", ()):
        add_logs(report)
    return report


@pytest.fixture(scope="session")
def receiver(network: Network) -> Iterator[Receiver]:
    receiver = Receiver(network)
    running.append(receiver)
    yield receiver.start()
    running.remove(receiver)
    receiver.remove()


@pytest.fixture
def late_receiver(network: Network) -> Iterator[Receiver]:
    """One that does not run until the test starts it."""
    receiver = Receiver(network, alias="late-receiver")
    running.append(receiver)
    yield receiver
    running.remove(receiver)
    receiver.remove()


@pytest.fixture(scope="session")
def app(network: Network) -> Iterator[Tandem]:
    """The container as it comes, for tests that leave it as they found it."""
    yield from running_until_left(Tandem(network, {"RETRY_DELAY": "200"}))


@pytest.fixture
def redis_elsewhere(network: Network) -> Iterator[str]:
    """The host name of a Redis that is not embedded: the image under test runs any command."""
    container = DockerContainer(IMAGE).with_network(network).with_network_aliases("redis-elsewhere")
    container.with_command(["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"])  # noqa: S104
    container.with_kwargs(labels={LABEL: "redis"})
    container.start()
    yield "redis-elsewhere"
    container.stop(delete_volume=True)
