"""Server-sent events of the real image: complete whatever dies meanwhile, and without a thread per subscriber."""

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

from app.translation.tests.integration.translating import Model
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.integration.tandem import await_true

Start = Callable[..., Tandem]
PARAGRAPHS = 12
_numbers = count(1)
READERS = 200
# Files that a web process opens for its first subscriber and keeps open: the hub's, and a Redis connection per thread.
KEPT = 30
WEB_WORKERS = 2
WEB_THREADS = 4


def long_text() -> str:
    """Return new paragraphs each time, because answers are cached; each is longer than half a chunk."""
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
    """Yield its events until the connection ends in any way."""
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
    """Return the events of a client that reconnects until the end, as a browser does."""
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
    """Return gunicorn's workers by their process ids in the container."""
    script = "master=$(supervisorctl pid web); cat /proc/$master/task/$master/children"
    return [int(pid) for pid in tandem.output("sh", "-c", script).split()]


def kill_workers(tandem: Tandem, how: signal.Signals) -> None:
    tandem.output("sh", "-c", f"kill -{how.value} {' '.join(map(str, web_workers(tandem)))}")


def entries(tandem: Tandem, folder: str) -> list[int]:
    """Count the entries in /proc/<pid>/<folder> of each of gunicorn's workers."""
    return [len(tandem.output("ls", f"/proc/{pid}/{folder}").split()) for pid in web_workers(tandem)]


@pytest.fixture
def waiting(app: Tandem) -> Iterator[str]:
    """A translation that is queued until the queue is resumed."""
    app.output("queue", "pause", "translations")
    yield app.translate("The house is beautiful.", source="en")["id"]
    app.output("queue", "resume", "translations")


def test_progress_is_sent_from_the_start_to_the_end(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]

    with reading(app, id_) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        # The headers that the application adds to every response are included.
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


def test_a_reconnecting_client_gets_only_new_events_and_none_after_the_end(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]
    with reading(app, id_) as answer:
        first = next(event for event in events(answer) if event.data["status"] == "running")

    rest = to_the_end(app, id_, last=first.id)

    assert all(event.id > first.id for event in rest)
    assert rest[-1].data["status"] == "done"
    with reading(app, id_, last=rest[-1].id) as answer:
        assert answer.status_code == 204


def test_a_client_that_reconnects_after_killed_web_processes_sees_the_end(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]
    with reading(app, id_) as answer:
        stream = events(answer)
        heard = [next(stream)]
        kill_workers(app, signal.SIGKILL)
        heard += stream
    assert heard[-1].name == "progress"

    assert to_the_end(app, id_, last=heard[-1].id)[-1].data["status"] == "done"


def test_a_recycling_worker_ends_its_streams_properly_and_others_continue_them(app: Tandem, waiting: str) -> None:
    with reading(app, waiting) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        kill_workers(app, signal.SIGTERM)
        # If the chunked encoding were truncated, httpx would raise here.
        assert [line for line in lines if line.startswith("event:")] == ["event: progress"]

    app.output("queue", "resume", "translations")
    assert to_the_end(app, waiting)[-1].data["status"] == "done"


def test_no_subscriber_loses_its_connection_when_redis_dies(app: Tandem) -> None:
    id_ = app.translate(long_text(), source="en")["id"]
    with reading(app, id_) as answer:
        stream = events(answer)
        assert next(stream).name == "progress"
        app.output("sh", "-c", "kill -9 $(supervisorctl pid redis)")
        heard = list(stream)

    assert heard[-1].name == "end"
    assert heard[-1].data["status"] == "done"
    assert re.search("event streams continue, Redis is available again", app.logs())


@pytest.fixture
def two(start: Start, model: Model) -> Tandem:
    """A container with the processes and threads that the tests count."""
    settings = {"WEB_WORKERS": str(WEB_WORKERS), "WEB_THREADS": str(WEB_THREADS)}
    tandem = start(**settings, CLIENT_EVENT_STREAMS=str(2 * READERS)).await_healthy()
    tandem.output("queue", "pause", "translations")
    return tandem


def latencies(tandem: Tandem, times: int = 200) -> list[float]:
    """Return the sorted milliseconds of this many requests of /healthz, each on its own connection."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        with connect(tandem, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as connection:
            assert heard_by(connection).startswith(b"HTTP/1.1 200 ")
        taken.append((time.perf_counter() - begun) * 1000)
    return sorted(taken)


def connect(tandem: Tandem, request: str) -> socket.socket:
    """Open a connection and send this."""
    address = httpx.URL(tandem.url)
    connection = socket.create_connection((address.host, address.port), timeout=30)
    connection.sendall(request.encode())
    return connection


def heard_by(connection: socket.socket, end: bytes | None = None) -> bytes:
    """Receive until `end`, or until the connection ends."""
    heard = b""
    while (end is None or end not in heard) and (data := connection.recv(65_536)):
        heard += data
    return heard


def test_idle_subscribers_occupy_no_thread_and_all_receive_the_change(two: Tandem) -> None:
    id_ = two.translate("The house is beautiful.", source="en")["id"]
    request = f"GET /translations/{id_}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    latencies(two, 20)
    alone, files = latencies(two), entries(two, "fd")
    with ExitStack() as stack:
        readers = [stack.enter_context(connect(two, request)) for _ in range(READERS)]
        for reader in readers:
            assert b"event: progress" in heard_by(reader, b'"error": null}\n\n')

        taken, threads = latencies(two), entries(two, "task")
        report = f"/healthz alone {summary(alone)}; with {READERS} readers {summary(taken)}; threads {threads}"
        print(report)
        # If readers occupied the threads, no other request would be served. Other tests load the machine meanwhile.
        assert statistics.median(taken) < 100, report
        # The main thread, the request threads, the hub, and the one that stores metrics.
        assert max(threads) <= 1 + WEB_THREADS + 2, report
        assert sum(entries(two, "fd")) >= sum(files) + READERS

        two.output("queue", "resume", "translations")
        for reader in readers:
            assert b'event: end\ndata: {"status": "done"' in heard_by(reader)
    await_true(lambda: sum(entries(two, "fd")) < sum(files) + KEPT, seconds=10, what="the readers' files to be closed")


def summary(taken: list[float]) -> str:
    splitter = statistics.quantiles(taken, n=100)
    return f"p50 {splitter[49]:.1f} p99 {splitter[98]:.1f} max {taken[-1]:.1f} ms"


def test_disconnected_subscribers_are_released(two: Tandem) -> None:
    id_ = two.translate("The house is beautiful.", source="en")["id"]
    before = sum(entries(two, "fd"))
    with ExitStack() as stack:
        for _ in range(READERS):
            reader = connect(two, f"GET /translations/{id_}/events HTTP/1.1\r\nHost: x\r\n\r\n")
            heard_by(stack.enter_context(reader), b"event: progress")
        assert sum(entries(two, "fd")) >= before + READERS

    await_true(lambda: sum(entries(two, "fd")) < before + KEPT, seconds=5, what="the readers' files to be closed")


# Run in the container, because Docker's proxy would read instead.
_DEAF = """
import select, socket, sys
deaf = socket.socket()
deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
deaf.connect(("127.0.0.1", 8000))
deaf.sendall(f"GET /translations/{sys.argv[1]}/events HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
poll = select.poll()
poll.register(deaf, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
"""


def test_a_subscriber_that_never_reads_is_dropped_without_affecting_others(app: Tandem, waiting: str) -> None:
    key = f"tandem:translation:{waiting}"
    script = _DEAF + (
        "from tandem.config import settings\n"
        "from tandem.broker.connection import connect\n"
        "client = connect(settings.current())\n"
        "for number in range(400):\n"
        "    client.hset(sys.argv[2], 'error', 'x' * 20_000)\n"
        "    client.publish(sys.argv[2] + ':changes', client.hincrby(sys.argv[2], 'version', 1))\n"
        "    if poll.poll(150):\n"
        "        print('dropped'); break\n"
        "client.hset(sys.argv[2], 'error', '')\n"
    )
    with reading(app, waiting) as answer:
        stream = events(answer)
        next(stream)
        assert app.output("python", "-c", script, waiting, key).strip() == "dropped"
        app.output("queue", "resume", "translations")
        heard = list(stream)

    assert heard[-1].data["status"] == "done"
    assert len(heard) > 5


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_of_both_versions_is_served_on_connections_that_were_used_before(
    app: Tandem, waiting: str, version: str
) -> None:
    keep = "Host: x\r\nConnection: keep-alive\r\n\r\n"
    with connect(app, f"GET /healthz HTTP/{version}\r\n{keep}") as reader:
        heard_by(reader, b'{"status":"ok"}\n')
        # The second request is pipelined: it gets no response, and its bytes do not truncate the first response.
        request = f"GET /translations/{waiting}/events HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n"
        reader.sendall((request + f"GET /healthz HTTP/{version}\r\n{keep}").encode())
        opening = heard_by(reader, b'"error": null}\n\n')
        app.output("queue", "resume", "translations")
        rest = heard_by(reader)

    head, _, _ = opening.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in head
    assert (b"Transfer-Encoding: chunked" in head) == (version == "1.1")
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n" if version == "1.1" else b"\n\n")
    assert b"event: end" in rest
    assert b'{"status":"ok"}' not in rest


def test_head_does_not_count_and_leaves_the_connection_usable_or_closed(app: Tandem, waiting: str) -> None:
    with connect(
        app, f"HEAD /translations/{waiting}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    ) as reader:
        answer = heard_by(reader)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_a_subscriber_over_the_limit_is_refused_with_retry_after(start: Start, model: Model) -> None:
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
    begin = time.time()
    with reading(app, waiting) as answer:
        next(events(answer))
    line = f'"GET /translations/{waiting}/events HTTP/1.1" 200'

    def logged() -> int:
        return sum(line in each for each in app.lines_of("web", since=begin))

    await_true(logged, seconds=5, what="its line")
    assert logged() == 1
    assert not app.tracebacks_of("web", since=begin)


def test_the_streams_of_one_client_are_limited_and_released(start: Start, model: Model) -> None:
    tandem = start(CLIENT_EVENT_STREAMS="2").await_healthy()
    tandem.output("queue", "pause", "translations")
    id_ = tandem.translate("The house is beautiful.", source="en")["id"]
    path = f"/translations/{id_}/events"
    with reading(tandem, id_) as first, reading(tandem, id_) as second:
        streams = [events(first), events(second)]  # kept: one that is dropped closes its stream
        assert [next(stream).name for stream in streams] == ["progress", "progress"]
        # Whatever the request accepts.
        refused = tandem.request("GET", path)
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert "CLIENT_EVENT_STREAMS" in refused.json()["detail"]
        assert tandem.request("GET", f"/translations/{id_}").status_code == 200
    tandem.output("queue", "resume", "translations")
    tandem.ended(id_)
    answers = [tandem.request("GET", path).status_code for _ in range(3)]
    assert answers == [200] * 3
