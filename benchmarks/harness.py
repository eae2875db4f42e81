"""Starts containers as compose.yaml does, and waits for what they do: what the benchmarks have in common.

Python 3.11 or newer, no other packages. Every container that is started here is removed at the end of its block.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
#: What bin/up builds.
IMAGE = "tandem-app"
#: What compose.yaml allows the service `app`, and no more.
LIKE_COMPOSE = (
    *("--read-only", "--tmpfs", "/run", "--tmpfs", "/tmp", "--cap-drop", "ALL"),  # noqa: S108
    *("--security-opt", "no-new-privileges:true", "--memory", "1g", "--memory-swap", "1g", "--pids-limit", "512"),
)
REDIS_CLI = ("redis-cli", "-s", "/run/tandem/redis.sock")
#: By which leftovers of a benchmark that was killed are found.
LABEL = "tandem.bench"
#: The longest that a docker command and a wait may take, in seconds.
COMMAND_SECONDS = 600.0
HEALTHY_WITHIN = 60.0
MIB = 2**20


def docker(*arguments: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> str:
    """Returns the output of a docker command; ends the program with what the command said when it fails."""
    done = subprocess.run(  # noqa: S603
        ["docker", *arguments],  # noqa: S607
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        raise SystemExit(f"docker {' '.join(arguments)[:200]}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


def progress(text: str) -> None:
    """Writes a line on stderr about how far the benchmark is; stdout is for its results."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def await_(check: Callable[[], T], what: str, *, seconds: float = HEALTHY_WITHIN, pause: float = 0.1) -> T:
    """Calls `check` until it returns something true, and returns that; ends the program after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (seen := check()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
    return seen


def start(image: str, *command: str, options: tuple[str, ...] = LIKE_COMPOSE, **settings: object) -> str:
    """Starts a container with these settings in its environment, and returns its id. `remove` it in the end."""
    environment = [f"--env={name}={value}" for name, value in settings.items()]
    return docker("run", "--detach", "--label", LABEL, *options, *environment, image, *command)


def remove(container: str) -> None:
    """Removes a container with its volumes, by force."""
    docker("rm", "--force", "--volumes", container)


@contextmanager
def running(image: str, *command: str, options: tuple[str, ...] = LIKE_COMPOSE, **settings: object) -> Iterator[str]:
    """Starts a container and gives its id; removes it at the end of the block."""
    container = start(image, *command, options=options, **settings)
    try:
        yield container
    finally:
        remove(container)


def await_healthy(container: str, pause: float = 0.1) -> None:
    """Waits until Docker calls the container healthy."""
    await_(lambda: _health(container) == "healthy", f"healthy: docker logs {container}", pause=pause)


def _health(container: str) -> str:
    return docker("inspect", "--format", "{{.State.Health.Status}}", container)


def address(container: str) -> str:
    """Returns the container's address on Docker's bridge."""
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)


def redis_cli(container: str, *command: str) -> str:
    """Returns the answer of the container's embedded Redis."""
    return docker("exec", container, *REDIS_CLI, *command)


def await_redis(container: str) -> None:
    """Waits until the container's embedded Redis answers."""
    ping = ["docker", "exec", container, *REDIS_CLI, "PING"]
    await_(lambda: not subprocess.run(ping, capture_output=True).returncode, "Redis answers")  # noqa: S603


def allow_files(number: int) -> None:
    """Allows this process so many open files, as each connection is one; at most the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(number, hard)), hard))


def cgroup(container: str, name: str) -> dict[str, int]:
    """Returns the figures in a file of the container's control group (cgroup v1 and v2), or none."""
    for folder in (f"memory/docker/{container}", f"system.slice/docker-{container}.scope", f"docker/{container}"):
        with suppress(OSError, ValueError):
            lines = Path("/sys/fs/cgroup", folder, name).read_text().splitlines()
            return {key: int(value) for key, value in (line.split() for line in lines)}
    return {}


def memory_mib(container: str, *, shared: bool = False) -> float:
    """Returns the memory of the container's processes without the page cache, in MiB; with `shared` also its tmpfs."""
    values = cgroup(container, "memory.stat")
    names = ("total_rss", "anon") + (("total_shmem", "shmem") if shared else ())
    return sum(values.get(name, 0) for name in names) / MIB


def cpu_seconds(container: str) -> float:
    """Returns the processor time that the container has used, its health checks included."""
    v2 = cgroup(container, "cpu.stat").get("usage_usec")
    if v2 is not None:
        return v2 / 1e6
    return int(docker("exec", container, "cat", "/sys/fs/cgroup/cpuacct/cpuacct.usage")) / 1e9
