"""Perform the kills of a plan one after another."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

import docker.errors
import httpx
import requests
from docker.models.containers import Container

from tests.chaos.cluster import Cluster
from tests.chaos.disk import Disk
from tests.chaos.plan import Kill
from tests.integration.tandem import Tandem, await_true

# The errors of Docker's client when its engine refuses, is slow, or closes the connection.
DOCKER_ERRORS = (docker.errors.DockerException, requests.RequestException)
# The exit code of a container that refuses to start.
EXIT_CONFIG = 78
# Bytes below the free space at which the queue refuses new messages.
ALMOST_FULL = 4 * 2**20


class Killer:
    """Performs kills and records them.

    kills: the kills performed, with the times of their beginning and end (seconds since 1970). missed: kills that
    Docker could not perform, such as pausing a container on a machine under load. broken: expectations of the
    containers that were not met.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.kills: list[tuple[Kill, float, float]] = []
        self.missed: list[str] = []
        self.broken: list[str] = []

    def do(self, kill: Kill) -> None:
        """Wait as planned, then perform the kill on a running container."""
        time.sleep(kill.wait)
        tandem = self._cluster.tandems[kill.choice % len(self._cluster.tandems)]
        try:
            self._cluster.revive()
            with self.recording(kill):
                self._action(kill)(kill, tandem)
        except DOCKER_ERRORS as error:
            self.missed.append(f"{kill.kind}: {error}")
        except AssertionError as error:
            # A condition was not met in time: the run continues, but its report is negative.
            self.broken.append(f"{kill.kind}: {error}")

    @contextlib.contextmanager
    def recording(self, kill: Kill) -> Iterator[None]:
        """Record the kill that is performed within the context."""
        began = time.time()
        yield
        self.kills.append((kill, began, time.time()))

    def _action(self, kill: Kill) -> Callable[[Kill, Tandem], None]:
        actions: dict[str, Callable[[Kill, Tandem], None]] = {
            "supervisord": self._supervisord,
            "container": lambda kill, tandem: self._restart(tandem.docker),
            "gone": lambda kill, tandem: self._restart(tandem.docker, after=kill.seconds),
            "pause": lambda kill, tandem: self._pause(tandem.docker, kill.seconds),
            "restart": lambda kill, tandem: self._supervisorctl(tandem, "restart", "worker:*"),
            "stop": self._stop,
            "second container": self._second_container,
        }
        if disk := self._cluster.disk:
            actions["full disk"] = lambda kill, tandem: self._fill(disk, kill, tandem)
            actions["damaged AOF"] = lambda kill, tandem: self._damage(disk, kill, tandem)
        if self._cluster.redis:
            external = self._cluster.redis
            actions["redis"] = lambda kill, tandem: self._restart(external.docker)
            actions["redis pause"] = lambda kill, tandem: self._pause(external.docker, kill.seconds)
        return actions.get(kill.kind, self._process)

    def _process(self, kill: Kill, tandem: Tandem) -> None:
        number = signal.SIGTERM if kill.kind == "SIGTERM" else signal.SIGKILL
        names = {"all workers": "every worker", "web worker": "web child", "SIGTERM": "worker"}
        # The container was selected with the same number.
        choice = kill.choice // len(self._cluster.tandems)
        self._cluster.signal(number, names.get(kill.kind, kill.kind), choice=choice, tandem=tandem)

    def _supervisord(self, kill: Kill, tandem: Tandem) -> None:
        self._cluster.signal(signal.SIGKILL, "supervisord", choice=0, tandem=tandem)
        container = tandem.docker
        container.wait(timeout=30)
        self._cluster.revive()

    def _restart(self, container: Container, *, after: float = 0) -> None:
        with contextlib.suppress(docker.errors.APIError):  # it has just exited by itself
            container.kill()
        container.wait(timeout=30)
        time.sleep(after)
        container.start()

    def _pause(self, container: Container, seconds: float) -> None:
        container.pause()
        time.sleep(seconds)
        await_true(lambda: self._runs_again(container), seconds=30, what="it resumes")

    def _runs_again(self, container: Container) -> bool:
        with contextlib.suppress(docker.errors.APIError):
            container.unpause()
        container.reload()
        return bool(container.status == "running")

    def _supervisorctl(self, tandem: Tandem, *command: str) -> None:
        # It may find no supervisord yet, or no such group: then there is nothing to restart.
        tandem.run("supervisorctl", *command)

    def _stop(self, kill: Kill, tandem: Tandem) -> None:
        container = tandem.docker
        container.stop(timeout=60)
        container.start()

    def _second_container(self, _kill: Kill, _tandem: Tandem) -> None:
        code, log = self._cluster.second_container()
        if code != EXIT_CONFIG:
            self.broken.append(f"a second container on the same volume exited with {code}: {log[-300:]}")

    def _fill(self, disk: Disk, kill: Kill, tandem: Tandem) -> None:
        """Fill the disk as logs and dumps do, kill Redis once new messages are refused, and free the space again."""
        try:
            disk.fill(free=ALMOST_FULL)
            await_true(lambda: self._refuses(tandem), seconds=30, what="new messages are refused")
            disk.fill(free=0)
            self._cluster.signal(signal.SIGKILL, "redis", choice=0, tandem=tandem)
            time.sleep(kill.seconds)
        finally:
            disk.free_space()

    def _refuses(self, tandem: Tandem) -> bool:
        with contextlib.suppress(httpx.HTTPError, docker.errors.APIError):
            return tandem.request("GET", "/readyz").status_code == HTTPStatus.SERVICE_UNAVAILABLE
        return False

    def _damage(self, disk: Disk, kill: Kill, tandem: Tandem) -> None:
        container = tandem.docker
        with contextlib.suppress(docker.errors.APIError):  # it has just exited by itself
            container.kill()
        container.wait(timeout=30)
        disk.damage(kill.choice)
        container.start()
