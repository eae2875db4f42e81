"""Real containers of the images that bin/test has built, and their logs in the report of a test that failed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.integration.containers import add_logs, model, network, running, running_until_left, start
from tests.integration.tandem import IMAGE, LABEL, PROBES_IMAGE, Model, Receiver, Tandem

__all__ = ["model", "network", "start"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and Path(item.path).is_relative_to(Path(__file__).parent):
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
def new_model(network: Network) -> Iterator[Callable[..., Model]]:
    """Makes a model's container of the test's own, known by the alias given; the test starts it."""
    own: list[Model] = []

    def make(alias: str, **environment: str) -> Model:
        model = Model(network, alias=alias, **environment)
        own.append(model)
        running.append(model)
        return model

    yield make
    for each in own:
        running.remove(each)
        each.remove()


@pytest.fixture
def late_receiver(network: Network) -> Iterator[Receiver]:
    """One that does not run until the test starts it."""
    receiver = Receiver(network, alias="late-receiver")
    running.append(receiver)
    yield receiver
    running.remove(receiver)
    receiver.remove()


@pytest.fixture(scope="session")
def app(network: Network, model: Model) -> Iterator[Tandem]:
    """The container as it comes, for tests that leave it as they found it."""
    yield from running_until_left(Tandem(network, {"RETRY_DELAY": "200"}))


@pytest.fixture
def start_probes(start: Callable[..., Tandem]) -> Callable[..., Tandem]:
    """The same with the image that has the probes in it."""
    return partial(start, image=PROBES_IMAGE)


@pytest.fixture
def redis_elsewhere(network: Network) -> Iterator[str]:
    """The host name of a Redis that is not embedded: the image under test runs any command."""
    container = DockerContainer(IMAGE).with_network(network).with_network_aliases("redis-elsewhere")
    container.with_command(["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"])  # noqa: S104
    container.with_kwargs(labels={LABEL: "redis"})
    container.start()
    yield "redis-elsewhere"
    container.stop(delete_volume=True)
