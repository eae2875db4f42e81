"""supervisord's API, spoken over a socket as supervisord's own."""

from __future__ import annotations

import base64
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest

from tandem.process import supervisor
from tandem.process.supervisor import SupervisorUnavailable


class Handler(SimpleXMLRPCRequestHandler):
    """Asks for the credentials of docker/supervisor/supervisord.conf."""

    disable_nagle_algorithm = False  # the socket has none
    rpc_paths = ("/RPC2",)

    def do_POST(self) -> None:
        if self.headers["Authorization"] == f"Basic {base64.b64encode(b'tandem:tandem').decode()}":
            super().do_POST()
        else:
            # Unread, it would cut off a client that is still sending.
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(401)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None: ...


class Server(socketserver.UnixStreamServer, SimpleXMLRPCDispatcher):
    """A supervisord with one worker of process id 7."""

    logRequests = False

    def __init__(self, path: str) -> None:
        SimpleXMLRPCDispatcher.__init__(self)
        socketserver.UnixStreamServer.__init__(self, path, Handler)
        self.signals: list[tuple[str, str]] = []
        self.register_function(lambda: [{"name": "web", "pid": 7}], "supervisor.getAllProcessInfo")
        self.register_function(lambda name: {"name": name, "pid": 7}, "supervisor.getProcessInfo")
        self.register_function(lambda name, signal: self._signal(name, signal), "supervisor.signalProcess")

    def _signal(self, name: str, signal: str) -> bool:
        self.signals.append((name, signal))
        return True


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(supervisor, "SOCKET", str(tmp_path / "supervisor.sock"))
    with Server(supervisor.SOCKET) as server:
        threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
        yield server
        server.shutdown()


def test_the_processes_are_what_supervisord_says(server: Server) -> None:
    assert supervisor.processes() == [{"name": "web", "pid": 7}]


def test_only_the_process_that_was_meant_is_killed(server: Server) -> None:
    assert supervisor.kill("worker:worker_00", 7)
    assert not supervisor.kill("worker:worker_00", 8)
    assert server.signals == [("worker:worker_00", "KILL")]


def test_an_unavailable_supervisord_is_reported(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor, "CREDENTIALS", "me:wrong")
    with pytest.raises(SupervisorUnavailable, match="401"):
        supervisor.processes()
    monkeypatch.setattr(supervisor, "SOCKET", str(tmp_path / "nobody"))
    with pytest.raises(SupervisorUnavailable, match="No such file"):
        supervisor.kill("worker:worker_00", 7)


def test_a_supervisord_that_does_not_answer_is_not_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor, "TIMEOUT", 0.05)
    hold = threading.Event()
    server.register_function(lambda: hold.wait(5), "supervisor.getAllProcessInfo")
    with pytest.raises(SupervisorUnavailable, match="timed out"):
        supervisor.processes()
    hold.set()
