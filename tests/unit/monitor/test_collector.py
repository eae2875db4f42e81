"""The metrics that the collector reads of the container, and those that it leaves out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from fakeredis import FakeServer

from tandem.broker import keys
from tandem.broker.statistics import Counts
from tandem.monitor import collector
from tandem.monitor.collector import Collector, WorkersDown
from tandem.process import resource_usage, restarts, supervisor
from tandem.worker import heartbeat_file

MIB = 2**20


def process(name: str, statename: str, *, now: float, **more: Any) -> dict[str, Any]:
    group = "worker" if name.startswith("worker") else name
    return {"name": name, "group": group, "statename": statename, "pid": 10, "start": 0, "stop": 0, "now": now, **more}


def alive(pid: int = 10) -> dict[str, dict[str, Any]]:
    return {"worker_00": {"pid": pid, "time": time.monotonic(), "running": []}}


def test_a_worker_is_down_since_the_first_check_that_found_it_down() -> None:
    watch = WorkersDown()
    assert watch.check([process("worker_00", "RUNNING", now=1000)], alive()) == {}
    assert watch.check([process("worker_00", "BACKOFF", now=1015, stop=1014)], alive()) == {"worker_00": 0}
    assert watch.check([process("worker_00", "STARTING", now=1030, stop=1029)], alive()) == {"worker_00": 15}
    assert watch.check([process("worker_00", "RUNNING", now=1045)], alive()) == {}
    assert watch.check([process("worker_00", "EXITED", now=1060, stop=1060)], alive()) == {"worker_00": 0}


@pytest.mark.parametrize("state", ["FATAL", "STOPPED"])
def test_a_worker_that_nothing_starts_is_down_since_it_ended(state: str) -> None:
    assert WorkersDown().check([process("worker_00", state, now=1400, stop=1000)], {}) == {"worker_00": 400}


def test_a_worker_without_a_heartbeat_is_down() -> None:
    watch = WorkersDown()
    silent = {"worker_00": {"pid": 10, "time": time.monotonic() - 60, "running": []}}
    assert watch.check([process("worker_00", "RUNNING", now=1000)], silent) == {"worker_00": 0}
    assert watch.check([process("worker_00", "RUNNING", now=1015)], alive(pid=9)) == {"worker_00": 15}


@pytest.mark.parametrize(("state", "start"), [("RUNNING", 990), ("STOPPING", 0)])
def test_a_worker_that_just_started_or_takes_its_time_to_stop_is_not_down(state: str, start: int) -> None:
    found = {} if start else alive()
    assert WorkersDown().check([process("worker_00", state, now=1000, start=start)], found) == {}


def test_only_workers_are_looked_at() -> None:
    assert WorkersDown().check([process("monitor", "FATAL", now=1000, stop=1)], {}) == {}


@pytest.mark.parametrize(
    ("folder", "used", "cache"),
    [("", "memory.current", "inactive_file"), ("memory/", "memory.usage_in_bytes", "total_inactive_file")],
    ids=["v2", "v1"],
)
def test_memory_is_the_control_groups_without_the_cache_that_can_go(
    tmp_path: Path, folder: str, used: str, cache: str
) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / used).write_text(f"{300 * MIB}\n")
    (tmp_path / folder / "memory.stat").write_text(f"anon 5\n{cache} {100 * MIB}\n")

    assert resource_usage.memory(tmp_path) == 200 * MIB


def test_without_a_control_group_memory_is_the_sum_of_the_processes(tmp_path: Path) -> None:
    for pid, pages in [(1, 100), (20, 50)]:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "statm").write_text(f"900 {pages} 0 0 0 0 0\n")
    (tmp_path / "3").mkdir()  # has just ended
    (tmp_path / "3" / "statm").write_text("")

    assert resource_usage.memory(tmp_path / "nothing", tmp_path) == 150 * 4096


def test_a_disk_is_as_full_as_df_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(1000, 450, 50) if folder == "/data" else _gone())
    assert resource_usage.disks(("/data", "/nothing")) == {"/data": 0.9}


def _gone() -> Any:
    raise FileNotFoundError


def test_ends_of_the_last_ten_minutes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run" / "restarts"
    assert restarts.recent(file) == {}
    for moment, name in [(1000, "web"), (1500, "worker_00"), (1550, "web"), (1600, "worker_00")]:
        monkeypatch.setattr("time.time", lambda moment=moment: float(moment))
        restarts.note(name, file)

    monkeypatch.setattr("time.time", lambda: 1601.0)
    assert restarts.recent(file) == {"web": 1, "worker_00": 2}


def test_a_torn_note_costs_no_other_one(tmp_path: Path) -> None:
    file = tmp_path / "restarts"
    restarts.note("web", file)
    for torn in [str(time.time())[:7], f"{time.time()} ", "no-time web", "\xff"]:
        with file.open("a") as out:
            out.write(f"\n{torn}")
        restarts.note("web", file)

    assert restarts.recent(file) == {"web": 5}


def test_the_notes_stay_bounded_and_the_newest_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "MAX_BYTES", 2000)
    file = tmp_path / "restarts"
    for number in range(500):
        restarts.note(f"worker_{number}", file)
        assert file.stat().st_size < 2100

    assert "worker_499" in restarts.recent(file) and "worker_0" not in restarts.recent(file)


class Web(HTTPServer):
    """Answers /readyz as configured."""

    checks: Any = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(json.dumps({"checks": self.server.checks}).encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    server = Web()
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    monkeypatch.setattr(collector, "WEB", server.server_address)
    yield server
    server.shutdown()
    server.server_close()


Running = Callable[..., None]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    """Says what supervisor says."""
    monkeypatch.setattr(heartbeat_file.read, "__defaults__", (tmp_path,))
    monkeypatch.setattr(restarts.recent, "__defaults__", (tmp_path / "restarts",))

    def say(*processes: dict[str, Any]) -> None:
        monkeypatch.setattr(supervisor, "processes", lambda: list(processes))

    return say


def test_the_collector_reads_the_queue_and_the_container(redis_client: redis.Redis, running: Running) -> None:
    running(process("worker_00", "STOPPED", now=1400, stop=1000))
    redis_client.sadd(keys.QUEUES, "mail")
    redis_client.hset(keys.counts(60, int(time.time()) // 60), mapping={"send\tfailed": 3})

    seen = Collector(redis_client).collect()

    assert [queue.name for queue in seen.queues or []] == ["mail"]
    assert seen.ended == {"send": Counts(failed=3)}
    assert seen.redis == "" and seen.workers_down == {"worker_00": 400} and seen.restarts == {}
    assert seen.memory and seen.memory > MIB
    assert seen.web is None and seen.checks is None  # no web runs here


def test_the_checks_of_web_are_seen_but_for_those_of_redis(
    redis_client: redis.Redis, running: Running, web: Web, redis_server: FakeServer
) -> None:
    running(process("web", "RUNNING", now=1000))
    web.checks = {
        "redis": {"status": "fail", "detail": "away"},
        "queue": {"status": "fail", "detail": "read-only"},
        "upstream": {"status": "warn", "detail": "upstream is away"},
        "redis setup": {"status": "fail", "detail": "Redis does not answer: timed out"},
        "store": {"status": "fail", "detail": "Redis does not answer: timed out"},
        "disk": {"status": "ok", "detail": "fine"},
    }
    watching = Collector(redis_client)

    assert watching.collect().checks == {"queue": "read-only", "upstream": "upstream is away", "disk": ""}
    redis_server.connected = False
    assert watching.collect().checks == {"upstream": "upstream is away", "disk": ""}


@pytest.mark.parametrize("answer", [None, [], {"upstream": "away"}, {"upstream": {}}])
def test_a_web_that_answers_nonsense_does_not_answer(
    redis_client: redis.Redis, running: Running, web: Web, answer: Any
) -> None:
    running(process("web", "RUNNING", now=1000))
    web.checks = answer
    seen = Collector(redis_client).collect()
    assert seen.web or seen.checks == {}


def test_the_silence_of_a_program_that_just_started_says_nothing(
    redis_client: redis.Redis, redis_server: FakeServer, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "WEB", ("127.0.0.1", 9))  # discard: nothing listens there
    redis_server.connected = False
    watching = Collector(redis_client)
    running(process("web", "RUNNING", now=1000, start=990), process("redis", "STARTING", now=1000, start=990))
    assert (watching.collect().web, watching.collect().redis) == (None, None)
    running(process("web", "RUNNING", now=1000), process("redis", "RUNNING", now=1000))
    assert "refused" in str(watching.collect().web) and watching.collect().redis
    running(process("web", "STOPPED", now=1000, start=990), process("redis", "STOPPED", now=1000, start=990))
    assert "refused" in str(watching.collect().web) and watching.collect().redis


def test_without_supervisor_what_it_knows_is_left_out(
    redis_client: redis.Redis, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running()

    def away() -> list[dict[str, Any]]:
        raise supervisor.SupervisorUnavailable("gone")

    monkeypatch.setattr(supervisor, "processes", away)
    seen = Collector(redis_client).collect()
    assert seen.workers_down is None and seen.web is None and seen.redis == ""
