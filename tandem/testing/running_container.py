"""A running container of an image under test, spoken to as its users do: over HTTP and with docker exec."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

# The fixtures remove what they start; testcontainers' own cleaner is one more image, from a registry.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

import httpx
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

T = TypeVar("T")

#: The label by which what an interrupted run has left behind is found; its value is the project.
LABEL = "tandem.testing"
#: A command inside that has not ended by then hangs.
COMMAND_SECONDS = 300
START_SECONDS = 60
#: httpx would make one for each request, and read the certificates of all authorities (18 ms of processor time), which
#: tests that ask again and again would spend most of their time on. No test speaks TLS.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def await_true(condition: Callable[[], T], *, seconds: float, what: str) -> T:
    """Wait until the condition is true and return its value; fail with `what` after `seconds`.

    A condition that is expensive (a command inside) is asked less often, so that asking does not slow down what it
    waits for.
    """
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}; last value: {value!r}")
        time.sleep(max(0.05, time.monotonic() - asked))


def http_request(method: str, url: str, *, timeout: float = 10, **options: Any) -> httpx.Response:
    """One HTTP request on a connection of its own, past any proxy of the machine."""
    return httpx.request(method, url, timeout=timeout, trust_env=False, verify=NO_TLS, **options)


def locked_down(container: DockerContainer, what: str, *, label: str = LABEL, **options: Any) -> DockerContainer:
    """The container with what compose.yaml takes away from it, and a label by which leftovers are found."""
    container.with_tmpfs_mount("/tmp")  # noqa: S108
    return container.with_kwargs(
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        labels={label: what},
        **options,
    )


class RunningContainer:
    """One container as compose.yaml runs it: read-only, without capabilities, with its settings in `environment`.

    tmpfs: folders in memory, with their options, beside those that every container has. volumes: folders of the host
    that it may read, with their names inside. ports: further ports to publish. data: the name of a volume for /data.
    label: by which leftovers are found.
    """

    started = False

    def __init__(
        self,
        image: str,
        environment: dict[str, str],
        *,
        network: Network | None = None,
        tmpfs: dict[str, str] | None = None,
        volumes: dict[str, str] | None = None,
        ports: tuple[int, ...] = (),
        data: str = "",
        label: str = LABEL,
        **options: Any,
    ) -> None:
        container = DockerContainer(image)
        if network is not None:
            container.with_network(network)
        container.with_exposed_ports(8000, *ports).with_envs(**environment)
        container.with_tmpfs_mount("/run")
        for folder, size in (tmpfs or {}).items():
            container.with_tmpfs_mount(folder, size)
        for folder, inside in (volumes or {}).items():
            container.with_volume_mapping(folder, inside)
        if data:
            container.with_volume_mapping(data, "/data", mode="rw")
        self._container = locked_down(container, "app", label=label, **options)

    def start(self) -> Self:
        """Starts it without waiting for anything."""
        self._container.start()
        self.started = True
        return self

    def await_healthy(self) -> Self:
        """Waits until Docker calls it healthy."""
        HealthcheckWaitStrategy().with_startup_timeout(START_SECONDS).wait_until_ready(self._container)
        return self

    def remove(self) -> None:
        """Removes it with its volumes, by force."""
        self._container.stop(delete_volume=True)

    @property
    def docker(self) -> Container:
        """Inspect the container again."""
        container = cast(Container, self._container.get_wrapped_container())
        container.reload()
        return container

    @property
    def url(self) -> str:
        """Where its port 8000 is published."""
        return f"http://{self._container.get_container_host_ip()}:{self._container.get_exposed_port(8000)}"

    def port(self, inside: int) -> int:
        """Return where one of `ports` is published."""
        return int(self._container.get_exposed_port(inside))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One HTTP request on a connection of its own."""
        return http_request(method, self.url + path, **options)

    def run(self, *command: str) -> tuple[int, str]:
        """Exit code and output (both streams) of a command inside, run as the container's user."""
        code, output = self.docker.exec_run(["timeout", "--kill-after=5", str(COMMAND_SECONDS), *command])
        assert code != 124, f"{command} did not end within {COMMAND_SECONDS} s: {output}"
        return code, output.decode()

    def output(self, *command: str) -> str:
        """Output of a command that has to succeed."""
        code, output = self.run(*command)
        assert code == 0, f"{command} left with {code}: {output}"
        return output

    def health(self) -> str:
        """What `queue health` says, with one space where it fills a column."""
        return re.sub(" +", " ", self.run("queue", "health")[1])

    def states(self) -> dict[str, str]:
        """supervisor's state of each process, by names such as worker:worker_00."""
        _, output = self.run("supervisorctl", "status")
        return {line.split()[0]: line.split()[1] for line in output.splitlines()}

    def redis(self, *command: str) -> str:
        """The answer of the embedded Redis to a command."""
        return self.output("redis-cli", "-s", "/run/tandem/redis.sock", *command)

    def logs(self) -> str:
        """Everything it has logged: Docker's copy and the files."""
        parts = [self.docker.logs().decode(errors="replace")]
        if self.docker.status == "running":
            _, files = self.run("sh", "-c", "tail -n 100 /var/log/supervisor/*.log")
            parts.append(files)
        return "\n".join(parts)
