"""A running container of the image under test, spoken to as its users do: over HTTP and with docker exec."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

import httpx
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

T = TypeVar("T")

# bin/test builds them under these names; the variables let two runs with different images live side by side.
#: The platform with the neutral application of tests/testapp.
IMAGE = os.environ.get("TANDEM_TEST_TESTAPP_IMAGE", "tandem-testapp:test")
#: The application of this repository.
APP_IMAGE = os.environ.get("TANDEM_TEST_IMAGE", "tandem:test")
LABEL = os.environ.get("TANDEM_TEST_LABEL", "tandem.test")
# One address sends everything here. One web process is enough for a test, and starts sooner.
FOR_TESTS = {"RATE_LIMIT": "0", "WEB_WORKERS": "1"}
#: A command inside that has not ended by then hangs.
COMMAND_SECONDS = 300
START_SECONDS = 60
NOTE_SECONDS = 60
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


def locked_down(container: DockerContainer, what: str, **options: Any) -> DockerContainer:
    """The container with what compose.yaml takes away from it, and the label by which bin/test finds leftovers."""
    container.with_tmpfs_mount("/tmp")  # noqa: S108
    return container.with_kwargs(
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        labels={LABEL: what},
        **options,
    )


class Tandem:
    """One container as compose.yaml runs it: read-only, without capabilities, with its settings in `environment`.

    tmpfs: folders in memory, with their options, beside those that every container has. volumes: folders of the host
    that it may read, with their names inside. data: the name of a volume for /data.
    """

    started = False

    def __init__(
        self,
        network: Network,
        environment: dict[str, str],
        *,
        image: str = IMAGE,
        tmpfs: dict[str, str] | None = None,
        volumes: dict[str, str] | None = None,
        data: str = "",
        **options: Any,
    ) -> None:
        container = DockerContainer(image).with_network(network)
        container.with_exposed_ports(8000).with_envs(**FOR_TESTS | environment)
        container.with_tmpfs_mount("/run")
        for folder, size in (tmpfs or {}).items():
            container.with_tmpfs_mount(folder, size)
        for folder, inside in (volumes or {}).items():
            container.with_volume_mapping(folder, inside)
        if data:
            container.with_volume_mapping(data, "/data", mode="rw")
        self._container = locked_down(container, "app", **options)

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

    def hand_in(self, text: str, **headers: str) -> str:
        """The id of a note that was accepted."""
        answer = self.request("POST", "/notes", json={"text": text}, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def note(self, id_: str) -> dict[str, Any]:
        """The JSON of a note as it is now."""
        answer = self.request("GET", f"/notes/{id_}")
        assert answer.status_code == 200, answer.text
        return cast("dict[str, Any]", answer.json())

    def ended(self, id_: str, *, seconds: float = NOTE_SECONDS) -> dict[str, Any]:
        """The note, waited for until it is done or failed."""

        def check() -> dict[str, Any] | None:
            seen = self.note(id_)
            return seen if seen["status"] in ("done", "failed") else None

        return cast("dict[str, Any]", await_true(check, seconds=seconds, what=f"the end of note {id_}"))

    def send(self, actor: str, *arguments: object, times: int = 1) -> None:
        """Sends messages to an actor; "n" among the arguments stands for the message's number."""
        self.output("queue", "try", actor, json.dumps(arguments), "--times", str(times))

    def noted(self, key: str) -> list[str]:
        """What actors have noted under a key, in order."""
        return self.redis("LRANGE", key, "0", "-1").split()

    def redis(self, *command: str) -> str:
        """The answer of the embedded Redis to a command."""
        return self.output("redis-cli", "-s", "/run/tandem/redis.sock", *command)

    def worker_log(self, number: int = 0) -> str:
        """What the worker in this slot and its predecessors have logged."""
        return self.output("sh", "-c", f"cat /var/log/supervisor/worker-{number:02}*.log")

    def logs(self) -> str:
        """Everything it has logged: Docker's copy and the files."""
        parts = [self.docker.logs().decode(errors="replace")]
        if self.docker.status == "running":
            _, files = self.run("sh", "-c", "tail -n 100 /var/log/supervisor/*.log")
            parts.append(files)
        return "\n".join(parts)

    def lines_of(self, program: str, *, since: float = 1) -> list[str]:
        """What one program has logged since a moment (`time.time()`): tests share containers, programs a log."""
        lines = self.docker.logs(since=since).decode(errors="replace").splitlines()
        return [line for line in lines if line.startswith(f"{program} ")]

    def tracebacks_of(self, program: str, *, since: float = 1) -> list[str]:
        """The last lines that it has logged, if a traceback is among them."""
        lines = self.lines_of(program, since=since)
        return lines[-100:] if any("Traceback" in line for line in lines) else []


class Receiver:
    """Takes alerts and other posts, in a container of the image under test. On /busy it answers 503 at first."""

    started = False
    url = "http://receiver:8080/hook"

    def __init__(self, network: Network, alias: str = "receiver") -> None:
        container = DockerContainer(IMAGE).with_network(network).with_network_aliases(alias)
        container.with_command(["python", "-uc", _RECEIVER])
        self._container = locked_down(container, "receiver")

    def start(self) -> Receiver:
        """Start it without waiting: the posting processes retry."""
        self._container.start()
        self.started = True
        return self

    @property
    def docker(self) -> Container:
        """The container in Docker's own words."""
        return cast(Container, self._container.get_wrapped_container())

    def posts(self) -> list[tuple[dict[str, str], bytes]]:
        """Headers (names in lower case) and body of each post, in order."""
        lines = [json.loads(line) for line in self.logs().splitlines()]
        return [(line["headers"], line["body"].encode()) for line in lines]

    def calls(self) -> list[dict[str, Any]]:
        """What was posted, in order."""
        return [json.loads(body) for _, body in self.posts()]

    def logs(self) -> str:
        """One line of JSON for each call."""
        return cast(bytes, self._container.get_wrapped_container().logs(stderr=False)).decode()

    def remove(self) -> None:
        """Removes it by force."""
        self._container.stop(delete_volume=True)


_RECEIVER = """
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen = set()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(json.dumps({"headers": {name.lower(): value for name, value in self.headers.items()}, "body": body}))
        self.send_response(503 if self.path == "/busy" and self.path not in seen else 204)
        seen.add(self.path)
        self.end_headers()

ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
