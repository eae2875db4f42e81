"""The containers that tests of any room share, and their logs for the report of a test that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest
from docker.errors import DockerException
from testcontainers.core.network import Network

from tests.integration.tandem import IMAGE, Tandem

T = TypeVar("T", bound=Tandem)


class Logging(Protocol):
    """What has a log to show when a test fails."""

    started: bool

    def logs(self) -> str: ...


running: list[Logging] = []

Start = Callable[..., Tandem]


def add_logs(report: pytest.TestReport) -> None:
    """What every running container has logged, a section for each."""
    for container in running:
        try:
            logs = container.logs() if container.started else "it did not start"
        except DockerException as error:  # the container was removed
            logs = f"there are none: {error}"
        report.sections.append((f"logs of {type(container).__name__}", logs))


def running_until_left(tandem: T) -> Iterator[T]:
    """Start a container, yield it when it is healthy, and remove it: the body of a fixture."""
    running.append(tandem)
    tandem.start().await_healthy()
    yield tandem
    running.remove(tandem)
    tandem.remove()


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def start(network: Network) -> Iterator[Callable[..., Tandem]]:
    """Starts a container of the test's own with the settings given as keywords; removed at the end."""
    own: list[Tandem] = []

    def start(*, image: str = IMAGE, options: dict[str, Any] | None = None, **settings: str) -> Tandem:
        tandem = Tandem(network, settings, image=image, **(options or {}))
        own.append(tandem)
        running.append(tandem)
        return tandem.start()

    yield start
    for tandem in own:
        running.remove(tandem)
        tandem.remove()
