"""The containers of a run: one with its embedded Redis, or two that share an external Redis in a third one."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any, cast
from uuid import uuid4

import docker.errors
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tandem.broker import keys
from tests.chaos.disk import Disk
from tests.integration.tandem import IMAGE, LABEL, Tandem, await_true

# Short delays, so that tests do not wait; no alerts, because processes are killed on purpose.
SETTINGS = {"RETRY_DELAY": "200", "MAX_RETRIES": "8", "ALERT_INTERVAL": "3600"}

CERTIFICATES = "/certificates"

# Returns what remains: ready, parked, delayed, payloads and deliveries of each queue, then what workers have claimed.
_LEFT = f"""
local left = {{}}
for _, queue in ipairs(redis.call('SMEMBERS', '{keys.QUEUES}')) do
  left[#left + 1] = queue .. ' ready ' .. redis.call('LLEN', (string.gsub('{keys.ready("?")}', '%?', queue)))
  left[#left + 1] = queue .. ' parked ' .. redis.call('ZCARD', (string.gsub('{keys.parked("?")}', '%?', queue)))
  left[#left + 1] = queue .. ' delayed ' .. redis.call('ZCARD', (string.gsub('{keys.delayed("?")}', '%?', queue)))
  left[#left + 1] = queue .. ' payloads ' .. redis.call('HLEN', (string.gsub('{keys.payloads("?")}', '%?', queue)))
  left[#left + 1] = queue .. ' deliveries ' .. redis.call('HLEN', (string.gsub('{keys.deliveries("?")}', '%?', queue)))
end
for _, key in ipairs(redis.call('KEYS', '{keys.claimed("*", "*")}')) do
  left[#left + 1] = key .. ' claimed ' .. redis.call('ZCARD', key)
end
return left
"""

# Sends a signal to processes of its container by their supervisor name. Arguments: signal, name, which of them.
_SIGNAL = """
import os, sys, time
number, wanted, choice = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
processes = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        line = open(f"/proc/{pid}/cmdline", "rb").read()
        variables = dict(part.partition(b"=")[::2] for part in open(f"/proc/{pid}/environ", "rb").read().split(b"\\0"))
        parent = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        continue
    if b"tandem.process.supervisord" in line and b"tini" not in line:
        name = "supervisord"
    elif b"redis-server" in line:
        name = "redis"
    else:
        name = variables.get(b"SUPERVISOR_GROUP_NAME", b"").decode()
    if wanted == variables.get(b"SUPERVISOR_PROCESS_NAME", b"").decode():
        name = wanted
    processes[int(pid)] = (name, parent)
supervisors = [pid for pid, (name, _) in processes.items() if name == "supervisord"]
found = sorted(pid for pid, (name, parent) in processes.items()
               if name == wanted.removesuffix(" child").removeprefix("every ")
               and (name == "supervisord" or (parent in supervisors) != wanted.endswith(" child")))
if found and not wanted.startswith("every "):
    found = [found[choice % len(found)]]
for pid in found:
    os.kill(pid, number)
print(time.time() if found else 0)
"""


class Redis:
    """A Redis in its own container, with the persistence of the embedded one.

    options: of redis-server. command: instead of redis-server. folder: on the host, mounted at CERTIFICATES.
    """

    started = False

    def __init__(
        self, network: Network, *options: str, command: list[str] | None = None, folder: str = "", name: str = ""
    ) -> None:
        self.name = name or f"redis-{uuid4().hex[:8]}"
        container = DockerContainer(IMAGE).with_network(network).with_network_aliases(self.name)
        server = ["redis-server", "/etc/tandem/redis.conf", "--port", "6379", "--protected-mode", "no"]
        server += ["--bind", "0.0.0.0", "--unixsocket", "/run/redis.sock"]  # noqa: S104
        container.with_command(command or [*server, *options])
        container.with_kwargs(labels={LABEL: "redis"})
        if folder:
            container.with_volume_mapping(folder, CERTIFICATES)
        self._container = container

    @property
    def url(self) -> str:
        """Return the URL for the other containers, without credentials."""
        return f"redis://{self.name}:6379/0"

    def start(self) -> Redis:
        """Start it without waiting."""
        self._container.start()
        self.started = True
        return self

    @property
    def docker(self) -> Container:
        """Return Docker's container object, reloaded."""
        container = cast(Container, self._container.get_wrapped_container())
        container.reload()
        return container

    def cli(self, *command: str) -> str:
        """Return the output of redis-cli, which may be an error."""
        return cast(bytes, self.docker.exec_run(["redis-cli", "-s", "/run/redis.sock", *command]).output).decode()

    def logs(self) -> str:
        """Return its whole log."""
        return cast(bytes, self.docker.logs()).decode(errors="replace")

    def remove(self) -> None:
        """Remove it with its data, by force."""
        self._container.stop(delete_volume=True)


class Cluster:
    """Starts the containers, and restarts those that have exited, as a restart policy does."""

    def __init__(self, network: Network, *, external: bool = False) -> None:
        self._network = network
        self.redis = Redis(network) if external else None
        self.disk = None if external else Disk()
        settings = SETTINGS | ({"REDIS_URL": self.redis.url} if self.redis else {})
        self.tandems = [self._tandem(settings) for _ in range(2 if external else 1)]
        self.exit_codes: list[int] = []

    def _tandem(self, settings: dict[str, str]) -> Tandem:
        return Tandem(self._network, settings, data=self.disk.name if self.disk else "")

    def start(self) -> Cluster:
        """Start everything and wait until it is healthy."""
        if self.disk:
            self.disk.start()
        if self.redis:
            self.redis.start()
        for tandem in self.tandems:
            tandem.start()
        for tandem in self.tandems:
            tandem.await_healthy()
        return self

    def remove(self) -> None:
        """Remove what was started, by force."""
        for part in (*self.tandems, self.redis, self.disk):
            if part and part.started:
                part.remove()

    def containers(self) -> list[Container]:
        """Return the containers that may have exited."""
        return [tandem.docker for tandem in self.tandems] + ([self.redis.docker] if self.redis else [])

    def revive(self) -> None:
        """Unpause paused containers and start exited ones."""
        for container in self.containers():
            if container.status == "paused":
                container.unpause()
            elif container.status in ("exited", "created"):
                self.exit_codes.append(container.attrs["State"]["ExitCode"])
                container.start()

    def signal(self, number: int, name: str, *, choice: int, tandem: Tandem) -> float:
        """Send a signal to a process by its supervisor name, or to one of its children, and return the time.

        The time is in seconds since 1970. If the container exits at the same moment, it is unknown whether the signal
        was sent: then it is sent again.
        """

        def reached() -> float:
            try:
                code, output = tandem.run("python", "-S", "-c", _SIGNAL, str(number), name, str(choice))
            except docker.errors.APIError:
                self.revive()
                return 0
            if code in (137, -9):
                # Killing supervisord kills this command as well.
                return time.time()
            return sent_at(output) if code == 0 else 0

        return await_true(reached, seconds=30, what=f"there is a process of {name}")

    def second_container(self) -> tuple[int, str]:
        """Start another container on the same volume; return its exit code and its log."""
        second = self._tandem(SETTINGS)
        second.start()
        try:
            await_true(lambda: second.docker.status == "exited", seconds=15, what="a second container on /data ends")
            return second.docker.attrs["State"]["ExitCode"], second.logs()
        finally:
            # Removes its own volumes, not the shared one.
            second.remove()

    def ask(self, *command: str) -> Any:
        """Run a command in Redis, retrying until Redis answers, and return the answer."""
        answer: list[Any] = []

        def asked() -> bool:
            with contextlib.suppress(docker.errors.APIError, AssertionError, ValueError):
                raw = self.redis.cli("--json", *command) if self.redis else self.tandems[0].redis("--json", *command)
                answer.append(json.loads(raw))
            return bool(answer)

        await_true(asked, seconds=60, what=f"Redis answers {command[0]}")
        return answer[0]

    def left(self) -> dict[str, int]:
        """Return the counts of what remains in the queues, by place; empty if nothing does."""
        counts = (line.rpartition(" ") for line in self.ask("EVAL", _LEFT, "0"))
        return {place: int(count) for place, _, count in counts if int(count)}

    def await_empty(self, *, patience: float = 60) -> dict[str, int]:
        """Wait until the queues are empty, or unchanged for `patience` seconds; return what remains."""
        seen, since = self.left(), time.monotonic()
        while seen and time.monotonic() - since < patience:
            time.sleep(0.25)
            now = self.left()
            if now != seen:
                seen, since = now, time.monotonic()
        return seen

    def logs(self, lines: int) -> str:
        """Return the last lines of each container's log."""
        parts: list[Tandem | Redis] = [*self.tandems, *([self.redis] if self.redis else [])]
        ends = [f"--- {part.docker.name}\n" + "\n".join(part.logs().splitlines()[-lines:]) for part in parts]
        return "\n".join(ends)

    def unhealthy(self) -> list[str]:
        """Return the output of `queue health` of containers that are not healthy within half a minute."""
        outputs = []
        for tandem in self.tandems:
            deadline = time.monotonic() + 30
            while (answer := _health(tandem))[0] and time.monotonic() < deadline:
                time.sleep(0.5)
            if answer[0]:
                outputs.append(answer[1])
        return outputs


def _health(tandem: Tandem) -> tuple[int, str]:
    try:
        return tandem.run("queue", "health")
    except docker.errors.APIError as error:  # the container is not running
        return 1, str(error)


def sent_at(output: str) -> float:
    """Parse the time at which the command of `signal` sent it; 0 if it found no process or its output was lost."""
    try:
        return float(output)
    except ValueError:
        return 0
