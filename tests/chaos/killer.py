"""Does to the containers what a plan says, one thing after the other."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import docker.errors
from docker.models.containers import Container

from tests.chaos.house import House
from tests.chaos.plan import Kill
from tests.integration.tandem import Tandem, await_true


class Killer:
    """`kills`: what was done, with the times (seconds since 1970) at which it began and was over.

    `missed`: what Docker could not do, such as freezing a container on a machine under load.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self.kills: list[tuple[Kill, float, float]] = []
        self.missed: list[str] = []

    def do(self, kill: Kill) -> None:
        """Waits as the plan says, then does it. What was to be killed is running then."""
        time.sleep(kill.wait)
        self._house.revive()
        tandem = self._house.tandems[kill.choice % len(self._house.tandems)]
        try:
            with self.noting(kill):
                self._deed(kill)(kill, tandem)
        except docker.errors.APIError as error:
            self.missed.append(f"{kill.kind}: {error}")
            self._house.revive()

    @contextlib.contextmanager
    def noting(self, kill: Kill) -> Iterator[None]:
        """Notes that this was done inside."""
        began = time.time()
        yield
        self.kills.append((kill, began, time.time()))

    def _deed(self, kill: Kill) -> Callable[[Kill, Tandem], None]:
        deeds: dict[str, Callable[[Kill, Tandem], None]] = {
            "supervisord": self._supervisord,
            "container": lambda kill, tandem: self._restart(tandem.docker),
            "gone": lambda kill, tandem: self._restart(tandem.docker, after=kill.seconds),
            "pause": lambda kill, tandem: self._pause(tandem.docker, kill.seconds),
            "restart": lambda kill, tandem: self._supervisorctl(tandem, "restart", "worker:*"),
            "stop": self._stop,
        }
        if self._house.redis:
            elsewhere = self._house.redis
            deeds["redis"] = lambda kill, tandem: self._restart(elsewhere.docker)
            deeds["redis pause"] = lambda kill, tandem: self._pause(elsewhere.docker, kill.seconds)
        return deeds.get(kill.kind, self._process)

    def _process(self, kill: Kill, tandem: Tandem) -> None:
        number = signal.SIGTERM if kill.kind == "SIGTERM" else signal.SIGKILL
        names = {"all workers": "every worker", "web worker": "web child", "SIGTERM": "worker"}
        # A plan's choice took the container already.
        choice = kill.choice // len(self._house.tandems)
        self._house.signal(number, names.get(kill.kind, kill.kind), choice=choice, tandem=tandem)

    def _supervisord(self, kill: Kill, tandem: Tandem) -> None:
        self._house.signal(signal.SIGKILL, "supervisord", choice=0, tandem=tandem)
        container = tandem.docker
        container.wait(timeout=30)
        self._house.revive()

    def _restart(self, container: Container, *, after: float = 0) -> None:
        with contextlib.suppress(docker.errors.APIError):  # it has ended by itself just now
            container.kill()
        container.wait(timeout=30)
        time.sleep(after)
        container.start()

    def _pause(self, container: Container, seconds: float) -> None:
        container.pause()
        time.sleep(seconds)
        await_true(lambda: self._runs_again(container), seconds=30, what="it goes on")

    def _runs_again(self, container: Container) -> bool:
        with contextlib.suppress(docker.errors.APIError):
            container.unpause()
        container.reload()
        return bool(container.status == "running")

    def _supervisorctl(self, tandem: Tandem, *command: str) -> None:
        # It may find no supervisord yet, or a group that is not there: then there is nothing to restart.
        tandem.run("supervisorctl", *command)

    def _stop(self, kill: Kill, tandem: Tandem) -> None:
        container = tandem.docker
        container.stop(timeout=60)
        container.start()
