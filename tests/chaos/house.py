"""The containers of a run: one with its embedded Redis, or two that share a Redis in a third one."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, cast
from uuid import uuid4

import docker.errors
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from app.queueing import keys
from tests.integration.tandem import IMAGE, LABEL, Model, Tandem, await_true

# bin/test builds it under this name; see tests/integration/tandem.py.
LOAD_IMAGE = os.environ.get("TANDEM_TEST_LOAD_IMAGE", "tandem-load:test")
# Short delays, so that nothing is waited for; nobody is to hear of what is killed here on purpose.
SETTINGS = {"RETRY_DELAY": "200", "MAX_RETRIES": "8", "ALERT_INTERVAL": "3600"}

CERTIFICATES = "/certificates"

# What of the queue there still is: of each queue ready, delayed, payloads and deliveries, then what workers hold.
_LEFT = f"""
local left = {{}}
for _, queue in ipairs(redis.call('SMEMBERS', '{keys.QUEUES}')) do
  left[#left + 1] = queue .. ' ready ' .. redis.call('LLEN', (string.gsub('{keys.ready("?")}', '%?', queue)))
  left[#left + 1] = queue .. ' delayed ' .. redis.call('ZCARD', (string.gsub('{keys.delayed("?")}', '%?', queue)))
  left[#left + 1] = queue .. ' payloads ' .. redis.call('HLEN', (string.gsub('{keys.payloads("?")}', '%?', queue)))
  left[#left + 1] = queue .. ' deliveries ' .. redis.call('HLEN', (string.gsub('{keys.deliveries("?")}', '%?', queue)))
end
for _, key in ipairs(redis.call('KEYS', '{keys.held("*", "*")}')) do
  left[#left + 1] = key .. ' held ' .. redis.call('ZCARD', key)
end
return left
"""

# Kills processes of its container by the name under which supervisor runs them: signal, name, which one of them.
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
    if b"app.operations.supervisord" in line and b"tini" not in line:
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
    """A Redis in a container of its own, which keeps what it has accepted as the embedded one does.

    options: of redis-server. command: instead of that. folder: of the host, which it sees as CERTIFICATES.
    """

    started = False

    def __init__(
        self, network: Network, *options: str, command: list[str] | None = None, folder: str = "", name: str = ""
    ) -> None:
        self.name = name or f"redis-{uuid4().hex[:8]}"
        container = DockerContainer(IMAGE).with_network(network).with_network_aliases(self.name)
        server = ["redis-server", "/etc/tandem/redis.conf", "--bind", "0.0.0.0", "--protected-mode", "no"]  # noqa: S104
        container.with_command(command or [*server, "--unixsocket", "/run/redis.sock", *options])
        container.with_kwargs(labels={LABEL: "redis"})
        if folder:
            container.with_volume_mapping(folder, CERTIFICATES)
        self._container = container

    @property
    def url(self) -> str:
        """Where the other containers reach it, when it asks for nothing."""
        return f"redis://{self.name}:6379/0"

    def start(self) -> Redis:
        """Starts it without waiting."""
        self._container.start()
        self.started = True
        return self

    @property
    def docker(self) -> Container:
        """The container in Docker's own words, looked at anew."""
        container = cast(Container, self._container.get_wrapped_container())
        container.reload()
        return container

    def cli(self, *command: str) -> str:
        """What redis-cli prints, which may be that Redis does not answer."""
        return cast(bytes, self.docker.exec_run(["redis-cli", "-s", "/run/redis.sock", *command]).output).decode()

    def logs(self) -> str:
        """Everything it has logged."""
        return cast(bytes, self.docker.logs()).decode(errors="replace")

    def remove(self) -> None:
        """Removes it with its data, by force."""
        self._container.stop(delete_volume=True)


class House:
    """Starts the containers, and starts those again that have ended, as a restart policy does."""

    def __init__(self, network: Network, *, external: bool = False, model: Model | None = None) -> None:
        self.redis = Redis(network) if external else None
        settings = SETTINGS | ({"REDIS_URL": self.redis.url} if self.redis else {})
        self.tandems = [Tandem(network, settings, image=LOAD_IMAGE) for _ in range(2 if external else 1)]
        self._own_model = Model(network) if model is None else None
        self.exit_codes: list[int] = []

    def start(self) -> House:
        """Starts everything and waits until it is healthy."""
        if self._own_model:
            self._own_model.start()
        if self.redis:
            self.redis.start()
        for tandem in self.tandems:
            tandem.start()
        for tandem in self.tandems:
            tandem.await_healthy()
        return self

    def remove(self) -> None:
        """Removes what was started, by force."""
        for part in (*self.tandems, self.redis, self._own_model):
            if part and part.started:
                part.remove()

    def containers(self) -> list[Container]:
        """Those that may have ended."""
        return [tandem.docker for tandem in self.tandems] + ([self.redis.docker] if self.redis else [])

    def revive(self) -> None:
        """Unpauses what is paused and starts what has ended."""
        for container in self.containers():
            if container.status == "paused":
                container.unpause()
            elif container.status in ("exited", "created"):
                self.exit_codes.append(container.attrs["State"]["ExitCode"])
                container.start()

    def signal(self, number: int, name: str, *, choice: int, tandem: Tandem) -> float:
        """Sends a signal to a process that supervisor knows by this name, or to one of its children.

        When it was sent, in seconds since 1970.
        """

        def reached() -> float:
            try:
                code, output = tandem.run("python", "-S", "-c", _SIGNAL, str(number), name, str(choice))
            except docker.errors.APIError:
                self.revive()
                return 0
            if code in (137, -9):
                # Killing supervisord takes this command with it.
                return time.time()
            return float(output) if code == 0 else 0

        return await_true(reached, seconds=30, what=f"there is a process of {name}")

    def ask(self, *command: str) -> Any:
        """What Redis answers; waits until it does."""
        answer: list[Any] = []

        def asked() -> bool:
            with contextlib.suppress(docker.errors.APIError, AssertionError, ValueError):
                raw = self.redis.cli("--json", *command) if self.redis else self.tandems[0].redis("--json", *command)
                answer.append(json.loads(raw))
            return bool(answer)

        await_true(asked, seconds=60, what=f"Redis answers {command[0]}")
        return answer[0]

    def left(self) -> dict[str, int]:
        """What the queue still has, by place; empty when there is nothing."""
        counts = (line.rpartition(" ") for line in self.ask("EVAL", _LEFT, "0"))
        return {place: int(count) for place, _, count in counts if int(count)}

    def await_empty(self, *, patience: float = 60) -> dict[str, int]:
        """What is left of the queue when nothing has changed for so many seconds: nothing, if all is well."""
        seen, since = self.left(), time.monotonic()
        while seen and time.monotonic() - since < patience:
            time.sleep(0.25)
            now = self.left()
            if now != seen:
                seen, since = now, time.monotonic()
        return seen

    def logs(self, lines: int) -> str:
        """The last lines that each container has logged."""
        parts: list[Tandem | Redis] = [*self.tandems, *([self.redis] if self.redis else [])]
        ends = [f"--- {part.docker.name}\n" + "\n".join(part.logs().splitlines()[-lines:]) for part in parts]
        return "\n".join(ends)

    def ailing(self) -> list[str]:
        """What `queue health` says of containers that are not healthy half a minute after all is over."""
        said = []
        for tandem in self.tandems:
            deadline = time.monotonic() + 30
            while (answer := tandem.run("queue", "health"))[0] and time.monotonic() < deadline:
                time.sleep(0.5)
            if answer[0]:
                said.append(answer[1])
        return said
