"""A client of the Debug Adapter Protocol, as an editor is one: https://microsoft.github.io/debug-adapter-protocol."""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Self

TIMEOUT = 20.0


class DebugAdapter:
    """A connection to a debugger that listens at a port of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._file = self._socket.makefile("rb")
        self._sequence = 0
        self._received: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> None:
        """Send a request."""
        self._sequence += 1
        request = {"seq": self._sequence, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def receive(self, kind: str, name: str) -> dict[str, Any]:
        """Return the next event or response with this name; what comes before it is kept."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            for message in self._received:
                if message["type"] == kind and message.get("event" if kind == "event" else "command") == name:
                    self._received.remove(message)
                    assert message.get("success", True), message
                    found: dict[str, Any] = message.get("body") or {}
                    return found
            assert time.monotonic() < deadline, f"no {kind} {name} among {self._received}"
            self._received.append(self._message())

    def _message(self) -> dict[str, Any]:
        length = 0
        while (line := self._file.readline().strip()) or not length:
            if line.startswith(b"Content-Length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(self._file.read(length))
        return message

    def attach(self, path: str, line: int) -> None:
        """Attach with one breakpoint."""
        self.send("initialize", adapterID="test", linesStartAt1=True, pathFormat="path")
        self.receive("response", "initialize")
        self.send("attach", justMyCode=False)
        self.receive("event", "initialized")
        self.send("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
        assert self.receive("response", "setBreakpoints")["breakpoints"][0]["verified"]
        self.send("configurationDone")
        self.receive("response", "attach")
