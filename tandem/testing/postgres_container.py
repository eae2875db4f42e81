"""A PostgreSQL in a container, for tests of an image."""

from __future__ import annotations

# The first import, because it sets up testcontainers.
from tandem.testing.running_container import LABEL, START_SECONDS  # isort: skip

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import ExecWaitStrategy

HOST = "postgres"
# Of a server that nothing but the network of one test reaches.
_NAME = "tandem"
_READY = ["pg_isready", "--quiet", "--host=127.0.0.1", f"--username={_NAME}"]


class PostgresContainer:
    """One server, by the name `postgres` in a network. image: one with the variables of the official image."""

    def __init__(self, image: str, network: Network) -> None:
        variables = {f"POSTGRES_{what}": _NAME for what in ("USER", "PASSWORD", "DB")}
        container = DockerContainer(image).with_envs(**variables)
        container.with_network(network).with_network_aliases(HOST).with_kwargs(labels={LABEL: "postgres"})
        self._container = container.waiting_for(ExecWaitStrategy(_READY).with_startup_timeout(START_SECONDS))

    def start(self) -> str:
        """Start it, wait until it answers, and return its URL."""
        self._container.start()
        return f"postgresql://{_NAME}:{_NAME}@{HOST}/{_NAME}"

    def remove(self) -> None:
        """Remove it with its volume, by force."""
        self._container.stop(delete_volume=True)
