#!/usr/bin/env python3
"""What readers of events cost the others: times of /healthz, threads and memory with 0, 200 and 1000 of them.

Usage: benchmarks/event_readers.py [--image tandem-app] [--readers 0 200 1000] [--requests 500]
Needs a Docker engine and the image, which bin/up builds. The readers wait for a translation whose queue is paused. Then
it is cancelled, and the time is measured from when the first one has heard so until all have. Requests go one after the
other, each over a connection of its own. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST = 60.0
REQUEST = "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
TEXT = json.dumps({"text": "The house is beautiful.", "source": "en", "target": "es"})


def docker(*arguments: str) -> str:
    """Output of a docker command that has to succeed."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603, S607


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="tandem-app")
    parser.add_argument("--readers", type=int, nargs="+", default=[0, 200, 1000])
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    allow_files(max(options.readers) + 100)
    with running(options.image, max(options.readers)) as (container, address):
        for number in options.readers:
            measure(container, address, number, options.requests)


def allow_files(number: int) -> None:
    """Each reader is a file of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(number, hard)), hard))


@contextmanager
def running(image: str, readers: int) -> Iterator[tuple[str, tuple[str, int]]]:
    """A container that takes so many readers, its queue paused; and the address of its web."""
    settings = (f"EVENT_READERS={max(readers, 1)}", "LOG_LEVEL=WARNING", "OLLAMA_URL=http://127.0.0.1:9")
    publish = "--publish=127.0.0.1::8000"
    container = docker("run", "--detach", publish, *(f"--env={setting}" for setting in settings), image)
    try:
        await_(lambda: docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy")
        docker("exec", container, "queue", "pause", "translations")
        host, port = docker("port", container, "8000").splitlines()[0].rsplit(":", 1)
        yield container, (host, int(port))
    finally:
        docker("rm", "--force", "--volumes", container)


def measure(container: str, address: tuple[str, int], number: int, requests: int) -> None:
    """One line: so many readers, and what they cost."""
    id_ = json.loads(ask(address, "POST", "/translations", TEXT))["id"]
    readers = [listen(address, f"/translations/{id_}/events") for _ in range(number)]
    times = sorted(timed(lambda: ask(address, "GET", "/healthz")) for _ in range(requests))
    cuts = statistics.quantiles(times, n=100)
    threads, memory = web(container)
    cancel(container, id_)
    told = ""
    if readers:
        until_end(readers[0])
        since = time.perf_counter()
        for reader in readers[1:]:
            until_end(reader)
        told = f"all told within {(time.perf_counter() - since) * 1000:4.0f} ms"
    print(
        f"{number:5} readers   /healthz p50 {cuts[49]:5.1f}  p99 {cuts[98]:5.1f}  max {times[-1]:5.1f} ms   "
        f"threads {threads}   memory {memory} MiB   {told}",
        flush=True,
    )


def cancel(container: str, id_: str) -> None:
    """Ends a translation by its store."""
    install = "from app import settings; from app.queueing import broker; broker.install(settings.current())"
    code = f"{install}; from app.translation import actors; actors.store().cancel({id_!r})"
    docker("exec", container, "python", "-c", code)


def ask(address: tuple[str, int], method: str, path: str, body: str = "") -> str:
    """The body of an answer."""
    with socket.create_connection(address, timeout=LONGEST) as connection:
        head = REQUEST.format(method=method, path=path)
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return read(connection).partition(b"\r\n\r\n")[2].decode()


def listen(address: tuple[str, int], path: str) -> socket.socket:
    """A reader that has had its first event."""
    connection = socket.create_connection(address, timeout=LONGEST)
    connection.sendall(f"{REQUEST.format(method='GET', path=path)}\r\n".encode())
    if b"event: progress" not in read(connection, b"event: progress"):
        raise SystemExit("a reader was refused")
    return connection


def until_end(reader: socket.socket) -> None:
    """Waits until it has heard the end."""
    with reader:
        if b"event: end" not in read(reader):
            raise SystemExit("a reader did not hear the end")


def read(connection: socket.socket, until: bytes | None = None) -> bytes:
    """What comes until this, or until the connection ends."""
    received = b""
    while (until is None or until not in received) and (data := connection.recv(65_536)):
        received += data
    return received


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    since = time.perf_counter()
    call()
    return (time.perf_counter() - since) * 1000


def web(container: str) -> tuple[list[int], list[int]]:
    """Threads and resident MiB of each web process."""
    script = "m=$(supervisorctl pid web); for p in $(cat /proc/$m/task/$m/children); do cat /proc/$p/status; done"
    rows = [line.split() for line in docker("exec", container, "sh", "-c", script).splitlines()]
    threads = [int(row[1]) for row in rows if row[0] == "Threads:"]
    return threads, [round(int(row[1]) / 1024) for row in rows if row[0] == "VmRSS:"]


def await_(look: Callable[[], bool]) -> None:
    """Waits until `look` is true."""
    deadline = time.monotonic() + LONGEST
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {LONGEST:.0f} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
