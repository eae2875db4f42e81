"""Server-sent events of the real image: told to the end whatever dies meanwhile, with no thread for a reader."""

from __future__ import annotations

import json
import re
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any, NamedTuple

import httpx
import pytest

from tests.integration.tandem import Model, Tandem, await_true

Start = Callable[..., Tandem]
PARAGRAPHS = 12
_numbers = count(1)
READERS = 200
# Files that web processes open at the first reader and keep: the hub's own, and connections to Redis for each thread.
KEPT = 30
WEB_WORKERS = 2
WEB_THREADS = 4


def long_text() -> str:
    """Paragraphs that are new each time, as answers are kept, each longer than half of what goes into one chunk."""
    paragraphs = [28 * f"The house number {next(_numbers)} is beautiful. " for _ in range(PARAGRAPHS)]
    return "\n\n".join(paragraphs)


class Event(NamedTuple):
    id: int
    name: str
    data: dict[str, Any]


@contextmanager
def reading(tandem: Tandem, id: str, last: int | None = None) -> Iterator[httpx.Response]:
    headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
    with httpx.stream(
        "GET", f"{tandem.url}/translations/{id}/events", headers=headers, timeout=60, trust_env=False
    ) as answer:
        yield answer


def events(answer: httpx.Response) -> Iterator[Event]:
    """What it tells, until the connection ends in whichever way."""
    fields: dict[str, str] = {}
    try:
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
                fields = {}
    except httpx.HTTPError:
        return


def to_the_end(tandem: Tandem, id: str, last: int | None = None) -> list[Event]:
    """What a client hears that comes again until it has heard the end, as a browser does."""
    heard: list[Event] = []

    def read() -> bool:
        with reading(tandem, id, heard[-1].id if heard else last) as answer:
            heard.extend(events(answer))
        return bool(heard) and heard[-1].name == "end"

    def come() -> bool:
        try:
            return read()
        except httpx.HTTPError:
            return False

    await_true(come, seconds=60, what="the end of the events")
    return heard


def web_workers(tandem: Tandem) -> list[int]:
    """gunicorn's workers by their process ids inside."""
    script = "master=$(supervisorctl pid web); cat /proc/$master/task/$master/children"
    return [int(pid) for pid in tandem.output("sh", "-c", script).split()]


def kill_workers(tandem: Tandem, how: signal.Signals) -> None:
    tandem.output("sh", "-c", f"kill -{how.value} {' '.join(map(str, web_workers(tandem)))}")


def entries(tandem: Tandem, folder: str) -> list[int]:
    """How many there are under /proc/<pid>/<folder> of each of gunicorn's workers."""
    return [len(tandem.output("ls", f"/proc/{pid}/{folder}").split()) for pid in web_workers(tandem)]


@pytest.fixture
def waiting(app: Tandem) -> Iterator[str]:
    """A translation that waits until the queue is resumed."""
    app.output("queue", "pause", "translations")
    yield app.translate("The house is beautiful.", source="en")["id"]
    app.output("queue", "resume", "translations")


def test_progress_is_told_from_the_start_to_the_end(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]

    with reading(app, id_) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Connection"] == "close"
        # Headers that the application adds to every answer come along.
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        heard = list(events(answer))

    assert [event.id for event in heard] == sorted({event.id for event in heard})
    done = [event.data["progress"]["done"] for event in heard]
    assert done == sorted(done)
    assert {event.name for event in heard[:-1]} == {"progress"}
    assert heard[-1].name == "end"
    assert heard[-1].data["status"] == "done"
    assert heard[-1].data["progress"]["done"] == heard[-1].data["progress"]["total"] == done[-1] > 1
    assert len(set(done)) > 2


def test_who_comes_again_gets_only_what_is_new_and_nothing_after_the_end(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]
    with reading(app, id_) as answer:
        first = next(event for event in events(answer) if event.data["status"] == "running")

    rest = to_the_end(app, id_, last=first.id)

    assert all(event.id > first.id for event in rest)
    assert rest[-1].data["status"] == "done"
    with reading(app, id_, last=rest[-1].id) as answer:
        assert answer.status_code == 204


def test_when_web_processes_are_killed_a_client_that_comes_again_sees_the_end(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]
    with reading(app, id_) as answer:
        told = events(answer)
        heard = [next(told)]
        kill_workers(app, signal.SIGKILL)
        heard += told
    assert heard[-1].name == "progress"

    assert to_the_end(app, id_, last=heard[-1].id)[-1].data["status"] == "done"


def test_a_worker_that_recycles_ends_its_streams_properly_and_others_go_on_with_them(app: Tandem, waiting: str) -> None:
    with reading(app, waiting) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        kill_workers(app, signal.SIGTERM)
        # Cut off in the middle of the chunked coding, httpx would raise here.
        assert [line for line in lines if line.startswith("event:")] == ["event: progress"]

    app.output("queue", "resume", "translations")
    assert to_the_end(app, waiting)[-1].data["status"] == "done"


def test_a_redis_that_dies_costs_no_reader_its_connection(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]
    with reading(app, id_) as answer:
        told = events(answer)
        assert next(told).name == "progress"
        app.output("sh", "-c", "kill -9 $(supervisorctl pid redis)")
        heard = list(told)

    assert heard[-1].name == "end"
    assert heard[-1].data["status"] == "done"
    assert re.search("readers of events hear from Redis again", app.logs())


@pytest.fixture
def two(start: Start, model: Model) -> Tandem:
    """A container with as many processes and threads as the test counts."""
    tandem = start(WEB_WORKERS=str(WEB_WORKERS), WEB_THREADS=str(WEB_THREADS)).await_healthy()
    tandem.output("queue", "pause", "translations")
    return tandem


def latencies(tandem: Tandem, times: int = 200) -> list[float]:
    """Milliseconds of so many requests of /healthz, each on a connection of its own, in order."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        with connect(tandem, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as connection:
            assert heard_by(connection).startswith(b"HTTP/1.1 200 ")
        taken.append((time.perf_counter() - begun) * 1000)
    return sorted(taken)


def connect(tandem: Tandem, request: str) -> socket.socket:
    """A connection that has sent this."""
    address = httpx.URL(tandem.url)
    connection = socket.create_connection((address.host, address.port), timeout=30)
    connection.sendall(request.encode())
    return connection


def heard_by(connection: socket.socket, end: bytes | None = None) -> bytes:
    """What comes until `end`, or until the connection ends."""
    heard = b""
    while (end is None or end not in heard) and (data := connection.recv(65_536)):
        heard += data
    return heard


def test_idle_readers_hold_no_thread_and_all_hear_the_change(two: Tandem) -> None:
    id_ = two.translate("The house is beautiful.", source="en")["id"]
    request = f"GET /translations/{id_}/events HTTP/1.1\r\nHost: x\r\n\r\n"
    latencies(two, 20)
    alone, files = latencies(two), entries(two, "fd")
    with ExitStack() as stack:
        readers = [stack.enter_context(connect(two, request)) for _ in range(READERS)]
        for reader in readers:
            assert b"event: progress" in heard_by(reader, b'"error": null}\n\n')

        taken, threads = latencies(two), entries(two, "task")
        report = f"/healthz alone {told(alone)}; with {READERS} readers {told(taken)}; threads {threads}"
        print(report)
        # Readers that held the threads would let nobody else in at all. Other tests keep the machine busy meanwhile.
        assert statistics.median(taken) < 100, report
        # The main thread, all that may answer requests, and the hub.
        assert max(threads) <= 1 + WEB_THREADS + 1, report
        assert sum(entries(two, "fd")) >= sum(files) + READERS

        two.output("queue", "resume", "translations")
        for reader in readers:
            assert b'event: end\ndata: {"status": "done"' in heard_by(reader)
    await_true(lambda: sum(entries(two, "fd")) < sum(files) + KEPT, seconds=10, what="the readers' files to be closed")


def told(taken: list[float]) -> str:
    cuts = statistics.quantiles(taken, n=100)
    return f"p50 {cuts[49]:.1f} p99 {cuts[98]:.1f} max {taken[-1]:.1f} ms"


def test_readers_that_leave_are_let_go(two: Tandem) -> None:
    id_ = two.translate("The house is beautiful.", source="en")["id"]
    before = sum(entries(two, "fd"))
    with ExitStack() as stack:
        for _ in range(READERS):
            reader = connect(two, f"GET /translations/{id_}/events HTTP/1.1\r\nHost: x\r\n\r\n")
            heard_by(stack.enter_context(reader), b"event: progress")
        assert sum(entries(two, "fd")) >= before + READERS

    await_true(lambda: sum(entries(two, "fd")) < before + KEPT, seconds=5, what="the readers' files to be closed")


# Inside, because Docker's proxy would read for it.
_DEAF = """
import select, socket, sys
deaf = socket.socket()
deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
deaf.connect(("127.0.0.1", 8000))
deaf.sendall(f"GET /translations/{sys.argv[1]}/events HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
poll = select.poll()
poll.register(deaf, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
"""


def test_a_reader_that_never_reads_is_dropped_and_costs_nobody_else(app: Tandem, waiting: str) -> None:
    key = f"tandem:translation:{waiting}"
    script = _DEAF + (
        "from app import settings\n"
        "from app.queueing.connection import connect\n"
        "client = connect(settings.current())\n"
        "for number in range(200):\n"
        "    client.hset(sys.argv[2], 'error', 'x' * 20_000)\n"
        "    client.publish(sys.argv[2] + ':changes', client.hincrby(sys.argv[2], 'version', 1))\n"
        "    if poll.poll(150):\n"
        "        print('dropped'); break\n"
        "client.hset(sys.argv[2], 'error', '')\n"
    )
    with reading(app, waiting) as answer:
        told = events(answer)
        next(told)
        assert app.output("python", "-c", script, waiting, key).strip() == "dropped"
        app.output("queue", "resume", "translations")
        heard = list(told)

    assert heard[-1].data["status"] == "done"
    assert len(heard) > 5


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_of_both_versions_is_served_on_connections_that_were_used_before(
    app: Tandem, waiting: str, version: str
) -> None:
    keep = "Host: x\r\nConnection: keep-alive\r\n\r\n"
    with connect(app, f"GET /healthz HTTP/{version}\r\n{keep}") as reader:
        heard_by(reader, b'{"status":"ok"}\n')
        # The second one is pipelined: it gets no answer, and its bytes do not cut the first one's short.
        request = f"GET /translations/{waiting}/events HTTP/{version}\r\n{keep}"
        reader.sendall((request + f"GET /healthz HTTP/{version}\r\n{keep}").encode())
        opening = heard_by(reader, b'"error": null}\n\n')
        app.output("queue", "resume", "translations")
        rest = heard_by(reader)

    head, _, _ = opening.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/{version} 200 OK\r\n".encode())
    assert b"Connection: close" in head
    assert (b"Transfer-Encoding: chunked" in head) == (version == "1.1")
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n" if version == "1.1" else b"\n\n")
    assert b"event: end" in rest
    assert b'{"status":"ok"}' not in rest


def test_head_takes_no_place_and_leaves_the_connection_usable_or_closed(app: Tandem, waiting: str) -> None:
    with connect(app, f"HEAD /translations/{waiting}/events HTTP/1.1\r\nHost: x\r\n\r\n") as reader:
        answer = heard_by(reader)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_one_reader_too_many_is_told_to_come_again(start: Start, model: Model) -> None:
    tandem = start(EVENT_READERS="2", WEB_WORKERS="1").await_healthy()
    tandem.output("queue", "pause", "translations")
    id_ = tandem.translate("The house is beautiful.", source="en")["id"]
    with reading(tandem, id_) as first, reading(tandem, id_) as second:
        streams = events(first), events(second)
        assert [next(stream).name for stream in streams] == ["progress", "progress"]
        answer = tandem.request("GET", f"/translations/{id_}/events")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")

    def come() -> bool:
        with reading(tandem, id_) as answer:
            return answer.status_code == 200

    await_true(come, seconds=5, what="room for a reader")


def test_a_reader_is_in_the_log_once(app: Tandem, waiting: str) -> None:
    with reading(app, waiting) as answer:
        next(events(answer))
    line = f'"GET /translations/{waiting}/events HTTP/1.1" 200'
    await_true(lambda: app.logs().count(line), seconds=5, what="its line")
    assert "Traceback" not in app.logs()
