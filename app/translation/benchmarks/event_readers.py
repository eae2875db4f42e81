#!/usr/bin/env python3
"""Measures what subscribers of events cost the others: times of /healthz, threads and memory.

Usage: app/translation/benchmarks/event_readers.py [--image tandem-app] [--subscribers 0 200 1000] [--requests 500]
Needs a Docker engine and the image, which bin/up builds. The subscribers wait for a translation whose queue is paused.
Then it is cancelled, and the time is measured from the first subscriber's last event until all have theirs. Requests
are made one after the other, each over a connection of its own. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from harness import IMAGE, LIKE_COMPOSE, allow_files, await_healthy, docker, running

MAX_SECONDS = 60.0
REQUEST = "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
TEXT = json.dumps({"text": "The house is beautiful.", "source": "en", "target": "es"})


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--subscribers", type=int, nargs="+", default=[0, 200, 1000])
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    allow_files(max(options.subscribers) + 100)
    with paused(options.image, max(options.subscribers)) as (container, address):
        for number in options.subscribers:
            measure(container, address, number, options.requests)


@contextmanager
def paused(image: str, subscribers: int) -> Iterator[tuple[str, tuple[str, int]]]:
    """Starts a container that accepts so many subscribers, its queue paused; gives its id and its web's address."""
    most = max(subscribers, 1)
    settings = {"EVENT_READERS": most, "CLIENT_EVENT_STREAMS": most, "LOG_LEVEL": "WARNING"}
    options = (*LIKE_COMPOSE, "--publish=127.0.0.1::8000")
    with running(image, options=options, OLLAMA_URL="http://127.0.0.1:9", **settings) as container:
        await_healthy(container)
        docker("exec", container, "queue", "pause", "translations")
        host, port = docker("port", container, "8000").splitlines()[0].rsplit(":", 1)
        yield container, (host, int(port))


def measure(container: str, address: tuple[str, int], number: int, requests: int) -> None:
    """Prints one line: so many subscribers, and what they cost."""
    id_ = json.loads(ask(address, "POST", "/translations", TEXT))["id"]
    subscribers = [listen(address, f"/translations/{id_}/events") for _ in range(number)]
    times = sorted(timed(lambda: ask(address, "GET", "/healthz")) for _ in range(requests))
    cuts = statistics.quantiles(times, n=100)
    threads, memory = web(container)
    cancel(container, id_)
    notified = ""
    if subscribers:
        until_end(subscribers[0])
        since = time.perf_counter()
        for subscriber in subscribers[1:]:
            until_end(subscriber)
        notified = f"all notified within {(time.perf_counter() - since) * 1000:4.0f} ms"
    print(
        f"{number:5} subscribers   /healthz p50 {cuts[49]:5.1f}  p99 {cuts[98]:5.1f}  max {times[-1]:5.1f} ms   "
        f"threads {threads}   memory {memory} MiB   {notified}",
        flush=True,
    )


def cancel(container: str, id_: str) -> None:
    """Cancels a translation in its store."""
    code = f"from app.translation import actors; actors.store().cancel({id_!r})"
    docker("exec", container, "python", "-c", code)


def ask(address: tuple[str, int], method: str, path: str, body: str = "") -> str:
    """Returns the body of an answer."""
    with socket.create_connection(address, timeout=MAX_SECONDS) as connection:
        head = REQUEST.format(method=method, path=path)
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return read(connection).partition(b"\r\n\r\n")[2].decode()


def listen(address: tuple[str, int], path: str) -> socket.socket:
    """Returns the connection of a subscriber that has received its first event."""
    connection = socket.create_connection(address, timeout=MAX_SECONDS)
    connection.sendall(f"{REQUEST.format(method='GET', path=path)}\r\n".encode())
    if b"event: progress" not in read(connection, b"event: progress"):
        raise SystemExit("a subscriber was refused")
    return connection


def until_end(subscriber: socket.socket) -> None:
    """Waits until the subscriber has received its last event."""
    with subscriber:
        if b"event: end" not in read(subscriber):
            raise SystemExit("a subscriber did not receive its last event")


def read(connection: socket.socket, until: bytes | None = None) -> bytes:
    """Returns what is received until these bytes, or until the connection ends."""
    received = b""
    while (until is None or until not in received) and (data := connection.recv(65_536)):
        received += data
    return received


def timed(call: Callable[[], object]) -> float:
    """Returns the milliseconds that a call takes."""
    since = time.perf_counter()
    call()
    return (time.perf_counter() - since) * 1000


def web(container: str) -> tuple[list[int], list[int]]:
    """Returns threads and resident MiB of each web process."""
    script = "m=$(supervisorctl pid web); for p in $(cat /proc/$m/task/$m/children); do cat /proc/$p/status; done"
    rows = [line.split() for line in docker("exec", container, "sh", "-c", script).splitlines()]
    threads = [int(row[1]) for row in rows if row[0] == "Threads:"]
    return threads, [round(int(row[1]) / 1024) for row in rows if row[0] == "VmRSS:"]


if __name__ == "__main__":
    main()
