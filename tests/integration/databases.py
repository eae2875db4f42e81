"""Databases for tests: images that bin/test builds from Debian's packages (tests/databases)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

from tests.integration.tandem import LABEL

TAG = os.environ.get("TANDEM_TEST_TAG", "test")
SQLAPP_IMAGE = f"tandem-sqlapp:{TAG}"
PORTS = {"postgres": 5432, "mariadb": 3306}
SCHEMES = {"postgres": "postgresql", "mariadb": "mariadb"}


@dataclass(frozen=True)
class Server:
    """A database server. url: for containers in its network. published: for processes of this machine."""

    container: DockerContainer
    url: str
    published: str

    @property
    def docker(self) -> Container:
        """The container in Docker's own words."""
        return self.container.get_wrapped_container()

    def numbers(self, query: str) -> list[tuple[int, ...]]:
        """Return the rows of a query for whole numbers, asked by PostgreSQL's superuser."""
        return [tuple(map(int, line.split("|"))) for line in self.ask(query).split()]

    def ask(self, query: str) -> str:
        """Return what psql prints for a query of PostgreSQL's superuser."""
        command = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--username=postgres", "tandem", "-c", query]
        code, output = self.docker.exec_run(command)
        assert code == 0, output.decode()
        return str(output.decode())


@contextmanager
def server(kind: str, network: Network, **options: object) -> Iterator[Server]:
    """Run a server of this kind, `postgres` or `mariadb`, under that name in the network."""
    container = DockerContainer(f"tandem-{kind}:{TAG}").with_network(network).with_network_aliases(kind)
    container.with_exposed_ports(PORTS[kind]).with_kwargs(labels={LABEL: kind}, **options)
    with container:
        HealthcheckWaitStrategy().with_startup_timeout(60).wait_until_ready(container)
        place = f"{container.get_container_host_ip()}:{container.get_exposed_port(PORTS[kind])}"
        start = f"{SCHEMES[kind]}://tandem:tandem@"
        yield Server(container, f"{start}{kind}/tandem", f"{start}{place}/tandem")
