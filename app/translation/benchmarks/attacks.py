#!/usr/bin/env python3
"""Measures what hostile clients cost the others: seconds of /healthz, memory and OOM kills under each attack.

Usage: app/translation/benchmarks/attacks.py [--images tandem:before tandem-app] [--attacks NAME …] [--seconds 12]
Needs a Docker engine and the images, which bin/up builds. Each attack has a container of its own with the restrictions
of compose.yaml, whose address on Docker's bridge is attacked for so many seconds; a model that accepts connections and
never answers runs beside it. All attacks are bounded in sockets, reconnects and time. Python 3.11 or newer, no other
packages.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from multiprocessing import Event, Process
from multiprocessing.synchronize import Event as Over
from pathlib import Path
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from harness import IMAGE, address, allow_files, await_healthy, cgroup, memory_mib, running

SILENT_MODEL = """
import socket, time
listener = socket.create_server(("", 11434), backlog=1024)
kept = []
while True:
    kept.append(listener.accept())
"""
#: Each connection is a file of this process.
MAX_FILES = 8192
# A /healthz that takes longer counts as one that failed, after so long.
PATIENCE = 30.0
BETWEEN_PROBES = 0.1
MOST_RECONNECTS = 20_000
CONNECT_WITHIN = 5.0
HALF_A_HEADER = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
HALF_A_BODY = (
    b"POST /translations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 10000\r\n\r\n{"text": "'
)
# A million characters, of which a reader of one connection asks eight times.
LONG_TEXT = "The house is beautiful. " * 41_600
# The most parts that a text of a million characters can have.
MANY_PARTS = json.dumps(["|a" * 499_490])


@dataclass
class Target:
    """The container under attack: its id, its address on the bridge, and what says that the attack is over."""

    container: str
    address: tuple[str, int]
    over: Over = field(default_factory=Event)

    def request(self, method: str, path: str, body: object = None, seconds: float = PATIENCE) -> tuple[int, bytes]:
        """Returns status and body of an answer, on a connection of its own. Raises OSError, HTTPException."""
        connection = HTTPConnection(*self.address, timeout=seconds)
        try:
            data = json.dumps(body, ensure_ascii=False).encode() if body is not None else None
            connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def translation(self, text: str) -> str:
        """Returns the id of a translation that never ends, because the model never answers."""
        status, body = self.request("POST", "/translations", {"text": text, "source": "en", "target": "es"})
        if status != 202:
            raise SystemExit(f"no translation to attack with: {status} {body.decode()[:200]}")
        return str(json.loads(body)["id"])


@dataclass
class Result:
    """What was seen during one attack on one image. Seconds of each answered /healthz; MiB at most."""

    seconds: list[float] = field(default_factory=list)
    failures: int = 0
    peak: float = 0.0
    kills: int = 0

    def __str__(self) -> str:
        """Returns one part of the line in the table."""
        median = f"{statistics.median(self.seconds):7.3f}" if self.seconds else "      -"
        longest = f"{max(self.seconds):7.3f}" if self.seconds else "      -"
        failed = f"{self.failures:4} of {len(self.seconds) + self.failures:3}"
        return f"{median} {longest} {failed} {self.peak:6.0f} {self.kills:3}"


def hold(target: Target, count: int, opening: bytes, drip: bytes = b"", receive: int = 0) -> None:
    """Holds so many connections that have sent `opening`; opens those again that the server closed.

    drip: what each sends twice a second. receive: its receive buffer, where it reads hardly anything.
    """
    with selectors.DefaultSelector() as selector, ExitStack() as opened:
        reconnects = MOST_RECONNECTS
        next_drip = time.monotonic()
        while not target.over.is_set():
            while len(selector.get_map()) < count and reconnects and not target.over.is_set():
                reconnects -= 1
                if (one := begin(target, opening, receive)) is None:
                    break
                opened.enter_context(one)
                selector.register(one, selectors.EVENT_READ)
            for key, _ in selector.select(0.1):
                if is_cut(key.fileobj, 1 if receive else 65_536):  # type: ignore[arg-type]
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
            if drip and time.monotonic() >= next_drip:
                next_drip = time.monotonic() + 0.5
                for key in list(selector.get_map().values()):
                    with suppress(OSError):
                        key.fileobj.send(drip)  # type: ignore[union-attr]
            target.over.wait(0.1 if receive else 0)


def begin(target: Target, opening: bytes, receive: int) -> socket.socket | None:
    """Returns a connection that has sent `opening`, or None when none was accepted."""
    one = socket.socket()
    try:
        if receive:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        one.settimeout(CONNECT_WITHIN)
        one.connect(target.address)
        one.sendall(opening)
    except OSError:
        one.close()
        return None
    one.setblocking(False)
    return one


def is_cut(one: socket.socket, most: int) -> bool:
    """Tells whether the server has closed it; reads and drops what the server sends."""
    try:
        return not one.recv(most)
    except BlockingIOError:
        return False
    except OSError:
        return True


def silent(count: int, target: Target) -> None:
    """Opens sockets that send nothing."""
    hold(target, count, b"")


def half_headers(count: int, target: Target) -> None:
    """Opens sockets that send half a header."""
    hold(target, count, HALF_A_HEADER)


def slow_bodies(count: int, target: Target) -> None:
    """Sends bodies byte by byte."""
    hold(target, count, HALF_A_BODY, drip=b"a")


def slow_readers(count: int, target: Target) -> None:
    """Requests 1 MB eight times on each connection and hardly reads."""
    id_ = target.translation(LONG_TEXT)
    hold(
        target, count, f"GET /translations/{id_}/source HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 8, receive=4096
    )


def event_streams(count: int, target: Target) -> None:
    """Subscribes to events."""
    id_ = target.translation("The house is beautiful.")
    head = f"GET /translations/{id_}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    hold(target, count, head.encode())


def ready(count: int, target: Target) -> None:
    """Requests /readyz again and again."""
    repeat(target, count, lambda: target.request("GET", "/readyz"))


def large_bodies(count: int, target: Target) -> None:
    """Sends texts of very many parts."""
    body = {"text": MANY_PARTS, "format": "json", "target": "es"}
    repeat(target, count, lambda: target.request("POST", "/translations", body))


def repeat(target: Target, count: int, call: Callable[[], object]) -> None:
    """Makes the call on so many threads until the attack is over."""

    def run() -> None:
        while not target.over.is_set():
            with suppress(OSError, HTTPException):
                call()
            target.over.wait(0.02)

    together([Thread(target=run, daemon=True) for _ in range(count)])


def together(threads: list[Thread]) -> None:
    """Starts the threads and waits for their end."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)


def all_at_once(target: Target) -> None:
    """Makes some of each attack."""
    attacks = [
        *(partial(silent, 64), partial(half_headers, 200), partial(slow_bodies, 16), partial(slow_readers, 16)),
        *(partial(ready, 8), partial(event_streams, 200), partial(large_bodies, 3)),
    ]
    together([Thread(target=attack, args=(target,), daemon=True) for attack in attacks])


def nothing(target: Target) -> None:
    """Attacks nothing, for comparison."""
    target.over.wait()


ATTACKS: dict[str, Callable[[Target], None]] = {
    "nothing": nothing,
    "silent-64": partial(silent, 64),
    "silent-400": partial(silent, 400),
    "half-headers-16": partial(half_headers, 16),
    "half-headers-200": partial(half_headers, 200),
    "half-headers-1000": partial(half_headers, 1000),
    "slow-bodies-32": partial(slow_bodies, 32),
    "slow-readers-32": partial(slow_readers, 32),
    "readyz-48": partial(ready, 48),
    "event-streams-1050": partial(event_streams, 1050),
    "large-bodies-6": partial(large_bodies, 6),
    "all-at-once": all_at_once,
}


def main() -> int:
    """Attacks and prints; 1 when the last image was slower than a second in any attack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", default=["tandem:before", IMAGE])
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=list(ATTACKS), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=12.0)
    options = parser.parse_args()
    allow_files(MAX_FILES)
    print(" " * 20 + "".join(f"{image[-38:]:>40}" for image in options.images))
    print(
        f"{'/healthz in seconds':20}"
        + f"{'median':>11} {'max':>7} {'failed':>11} {'MiB':>6} {'OOM':>3}" * len(options.images)
    )
    fast = True
    with running(options.images[-1], "python3", "-c", SILENT_MODEL) as silent:
        model = address(silent)
        for name in options.attacks:
            results = [measure(image, model, ATTACKS[name], options.seconds) for image in options.images]
            fast = fast and not results[-1].failures and max(results[-1].seconds, default=PATIENCE) < 1
            print(f"{name:20}    " + "    ".join(map(str, results)), flush=True)
    return 0 if fast else 1


def measure(image: str, model: str, attack: Callable[[Target], None], seconds: float) -> Result:
    """Attacks a new container of this image for so many seconds."""
    result = Result()
    with attacked(image, model) as target:
        watches = [Thread(target=watch, args=(target, result)) for watch in (probe, weigh)]
        # A process of its own, so that its work is not in what the probe measures.
        attacker = Process(target=attack, args=(target,), daemon=True)
        attacker.start()
        for thread in watches:
            thread.start()
        time.sleep(seconds)  # the attack's duration is what is asked for
        target.over.set()
        attacker.join(2 * PATIENCE)
        for thread in watches:
            thread.join(2 * PATIENCE)
        result.kills = kills(target.container)
    return result


def probe(target: Target, result: Result) -> None:
    """Requests /healthz again and again."""
    while not target.over.wait(BETWEEN_PROBES):
        since = time.monotonic()
        try:
            good = target.request("GET", "/healthz")[0] == 200
        except (OSError, HTTPException):
            good = False
        if good:
            result.seconds.append(time.monotonic() - since)
        else:
            result.failures += 1


def weigh(target: Target, result: Result) -> None:
    """Notes the most memory of the container without cache, ten times a second."""
    while not target.over.wait(0.1):
        result.peak = max(result.peak, memory_mib(target.container, shared=True))


def kills(container: str) -> int:
    """Returns how many processes of this container were killed for want of memory."""
    files = ("memory.oom_control", "memory.events")
    return max(cgroup(container, name).get("oom_kill", 0) for name in files)


@contextmanager
def attacked(image: str, model: str) -> Iterator[Target]:
    """Starts a container, and gives the target when it is healthy; removes it at the end of the block."""
    with running(image, RATE_LIMIT=0, LOG_LEVEL="WARNING", OLLAMA_URL=f"http://{model}:11434") as container:
        await_healthy(container)
        yield Target(container, (address(container), 8000))


if __name__ == "__main__":
    sys.exit(main())
