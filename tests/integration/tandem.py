"""A running container of the image under test, spoken to as its users do: over HTTP and with docker exec."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any, cast

from docker.models.containers import Container
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tandem.testing import running_container
from tandem.testing.running_container import START_SECONDS, RunningContainer, await_true, http_request

__all__ = ["START_SECONDS", "await_true", "http_request"]

# bin/test builds them under these names; the variables let two runs with different images live side by side.
#: The platform with the neutral application of tests/testapp.
IMAGE = os.environ.get("TANDEM_TEST_TESTAPP_IMAGE", "tandem-testapp:test")
#: The application of this repository.
APP_IMAGE = os.environ.get("TANDEM_TEST_IMAGE", "tandem:test")
LABEL = os.environ.get("TANDEM_TEST_LABEL", "tandem.test")
# One address sends everything here. One web process is enough for a test, and starts sooner.
FOR_TESTS = {"RATE_LIMIT": "0", "WEB_WORKERS": "1"}
NOTE_SECONDS = 60
locked_down = partial(running_container.locked_down, label=LABEL)


class Tandem(RunningContainer):
    """One container of the platform with the neutral application, or of another image."""

    def __init__(self, network: Network, environment: dict[str, str], *, image: str = IMAGE, **options: Any) -> None:
        super().__init__(image, FOR_TESTS | environment, network=network, label=LABEL, **options)

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

    def worker_log(self, number: int = 0) -> str:
        """What the worker in this slot and its predecessors have logged."""
        return self.output("sh", "-c", f"cat /var/log/supervisor/worker-{number:02}*.log")

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
        """One line of JSON for each call, without one that is still being written."""
        printed = cast(bytes, self._container.get_wrapped_container().logs(stderr=False)).decode()
        return "".join(printed.rpartition("\n")[:2])

    def remove(self) -> None:
        """Removes it by force."""
        self._container.stop(delete_volume=True)


_RECEIVER = """
import json, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen, printing = set(), threading.Lock()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        call = {"headers": {name.lower(): value for name, value in self.headers.items()}, "body": body}
        # print writes a line and its end separately.
        with printing:
            print(json.dumps(call))
        self.send_response(503 if self.path == "/busy" and self.path not in seen else 204)
        seen.add(self.path)
        self.end_headers()

ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
