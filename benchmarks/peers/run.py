#!/usr/bin/env python3
"""Measures Tandem and its peers on one Redis, in one run, and prints tables in Markdown.

Usage: benchmarks/peers/run.py [--image tandem-app] [--quick] [--runs 3] [--json FILE] [--only NAME,…]
Needs a Docker engine and the image, which bin/up builds; builds an image on it from this folder, starts containers of
its own and removes them. Every measurement is made `--runs` times, the contenders in turn, and medians are shown. All
use the same Redis, with the settings of the image but without a limit of its memory. About twelve minutes.
Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import report
from harness import IMAGE, LIKE_COMPOSE, await_, docker, progress, remove, start

PEERS = Path(__file__).resolve().parent
BENCH_IMAGE = "tandem-bench:local"
REDIS = "redis-server /etc/tandem/redis.conf --port 6379 --bind 0.0.0.0 --protected-mode no --maxmemory 0"
# A rewrite of the file in the middle of a measurement would distort only that one.
REDIS += " --auto-aof-rewrite-percentage 0"
REDIS_URL = "redis://redis:6379"
KILL_SECONDS = 60
#: Short and in turn, so that other load on the machine meets all of them.
HTTP_ROUNDS, HTTP_SECONDS = 5, 2
MARKS = 30


@dataclass(frozen=True)
class Contender:
    """One of those that are compared. `messages`: about as many as it handles in three seconds."""

    name: str
    adapter: str
    environment: str
    messages: int
    threads: int = 8
    pool: str = "threads"
    #: Only measured with one process, for its throughput.
    brief: bool = False


OURS, COMMON = "/opt/venv", "/opt/peers/common"
CONTENDERS = (
    Contender("Tandem", "ours", OURS, 15_000),
    Contender("dramatiq", "dramatiq_peer", COMMON, 6_000),
    Contender("taskiq", "taskiq_peer", COMMON, 9_000),
    Contender("huey", "huey_peer", COMMON, 10_000),
    Contender("SAQ", "saq_peer", "/opt/peers/saq", 5_000),
    Contender("Celery", "celery_peer", COMMON, 3_000),
    Contender("RQ", "rq_peer", COMMON, 1_500),
    Contender("arq", "arq_peer", "/opt/peers/arq", 800),
    Contender("Tandem, 1 thread", "ours", OURS, 9_000, threads=1, brief=True),
    Contender("dramatiq, 1 thread", "dramatiq_peer", COMMON, 900, threads=1, brief=True),
    Contender("Celery, prefork", "celery_peer", COMMON, 3_000, pool="prefork", brief=True),
)
#: Of the image's gunicorn, as many processes and threads as Tandem's web has by default.
GUNICORN = "gunicorn --bind 0.0.0.0:8000 --workers 2 --threads 8 --worker-class gthread --preload"
#: What answers POST /jobs: name, and what gunicorn runs; Tandem runs its own program.
WEBS = {
    report.US: "",
    report.STOCK_POST: "web_dramatiq:app",
    "Flask that only pushes": "web_bare:flask",
    "WSGI that only pushes": "web_bare:wsgi",
}


class Bench:
    """A network with one Redis, and containers on it that are removed at the end."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._network = f"tandem-bench-{os.getpid()}"
        self._containers: list[str] = []

    def __enter__(self) -> Bench:
        docker("network", "create", self._network)
        try:
            # Contenders run beside Redis in its container, so it is not restricted as those of a service are.
            self.redis = self.run(*REDIS.split(), alias="redis", options=())
            await_(lambda: "PONG" in self.ping(), "Redis answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for container in reversed(self._containers):
            remove(container)
        docker("network", "rm", self._network)

    def run(self, *command: str, alias: str, options: tuple[str, ...] = LIKE_COMPOSE, **settings: object) -> str:
        """Starts a container of the benchmark's image, and returns its id."""
        common = {"REDIS_URL": REDIS_URL, "BENCH_REDIS": REDIS_URL, "LOG_LEVEL": "WARNING", "RATE_LIMIT": 0}
        # While a container starts, Docker checks its health twice a second.
        options = (*options, "--network", self._network, "--network-alias", alias, "--no-healthcheck")
        container = start(self._image, *command, options=options, **common | settings)
        self._containers.append(container)
        return container

    def remove(self, container: str) -> None:
        """Removes one of its containers before the end."""
        remove(container)
        self._containers.remove(container)

    def cli(self, *command: str) -> str:
        """Returns what Redis answers."""
        return docker("exec", self.redis, "redis-cli", *command)

    def ping(self) -> str:
        """Returns what Redis answers, or nothing before it does."""
        ping = ["docker", "exec", self.redis, "redis-cli", "PING"]
        return subprocess.run(ping, capture_output=True, text=True).stdout  # noqa: S603

    def drive(self, contender: Contender, *arguments: object) -> dict[str, Any]:
        """Returns what contenders/drive.py measures of a contender."""
        loopback = "redis://127.0.0.1:6379"
        ours = contender.environment == OURS
        settings = {
            "BENCH_REDIS": loopback,
            "REDIS_URL": loopback,
            "BENCH_NAME": contender.adapter,
            "BENCH_THREADS": contender.threads,
            "BENCH_POOL": contender.pool,
            "PATH": f"{contender.environment}/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": "/srv/tandem:/opt/packages:/srv/bench" if ours else "/srv/bench",
        }
        environment = [f"--env={name}={value}" for name, value in settings.items()]
        program = [f"{contender.environment}/bin/python", "/srv/bench/drive.py", contender.adapter]
        answer = docker("exec", *environment, self.redis, *program, *map(str, arguments), seconds=300)
        result: dict[str, Any] = json.loads(answer.splitlines()[-1])
        return result

    def clean(self) -> None:
        """Empties Redis and its file."""
        self.cli("FLUSHALL", "ASYNC")
        self.cli("BGREWRITEAOF")
        await_(lambda: "aof_rewrite_in_progress:0" in self.cli("INFO", "persistence"), "the file rewritten")


# --- the measurements ------------------------------------------------------------------------------------------------


def sessions(bench: Bench, contenders: list[Contender], runs: int, scale: float) -> dict[str, Any]:
    """Returns what drive.py has measured, as a list for each contender and number of processes."""
    seen: dict[str, Any] = {contender.name: {} for contender in contenders}
    for number in range(runs):
        for processes in (1, 2, 4) if number < max(1, runs - 1) else (1,):
            for contender in contenders:
                if processes > 1 and contender.brief:
                    continue
                bench.clean()
                messages = int(contender.messages * scale * (1 if processes == 1 else 1.3))
                options: list[object] = ["--processes", processes, "--messages", messages]
                if processes == 1 and not contender.brief:
                    options += ["--marks", MARKS if number < max(1, runs - 1) else 0, "--naps"]
                result = bench.drive(contender, "session", *options)
                seen[contender.name].setdefault(str(processes), []).append(result)
                rates = f"{result['completed']:6.0f} completed/s, {result['enqueued']:6.0f} enqueued/s"
                rates += f", {result['lost']} lost"
                progress(f"run {number + 1}, processes {processes}, {contender.name:<18} {rates}")
    return seen


def kills(bench: Bench, contenders: list[Contender], seconds: int) -> dict[str, float | None]:
    """Returns the seconds until a message whose process was killed runs again, of all peers at once."""
    bench.clean()
    whole = [contender for contender in contenders if not contender.brief and contender.name != "Tandem"]
    if not whole:
        return {}
    with ThreadPoolExecutor(len(whole)) as pool:
        results = pool.map(lambda one: bench.drive(one, "recovery", "--seconds", seconds), whole)
        seen = {contender.name: result["seconds"] for contender, result in zip(whole, results, strict=True)}
    progress(f"kill -9 of a peer's worker {seen}")
    return seen


def container_kills(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Returns the same of our container: its worker killed, and the container killed while another one runs."""
    bench.clean()
    settings: dict[str, Any] = {"PROGRAMS": "worker,monitor,eventlistener", "WORKERS": 1, "WORKER_QUEUES": "bench"}
    held = "bench:ours:held"
    first = bench.run(alias="one", **settings)
    seen: dict[str, list[float]] = {"worker": [], "container": []}

    def hold() -> str:
        bench.cli("DEL", held)
        docker("exec", bench.redis, "python", "-c", "import ours; ours.send('hold')")
        await_(lambda: bench.cli("LLEN", held) == "1", "a message held")
        return bench.cli("LINDEX", held, "0").split()[0]

    def again(killed: float) -> float:
        await_(lambda: bench.cli("LLEN", held) == "2", "the message running again")
        return float(bench.cli("LINDEX", held, "1").split()[1]) - killed

    await_(lambda: bench.cli("HLEN", "tandem:workers") == "1", "a worker")
    for _ in range(runs):
        kill = f"import os, time; print(time.monotonic()); os.kill({hold()}, 9)"
        seen["worker"].append(again(float(docker("exec", first, "python", "-c", kill))))
    hold()
    second = bench.run(alias="two", **settings)
    await_(lambda: bench.cli("HLEN", "tandem:workers") == "2", "a second worker")
    time.sleep(3)
    killed = time.monotonic()
    docker("kill", first)
    seen["container"].append(again(killed))
    bench.remove(first)
    bench.remove(second)
    progress(f"kill -9 of our worker {seen['worker']}, of a container {seen['container']}")
    return seen


def http(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Returns the requests that each web accepts in a second: Tandem's with its proxy, the others' gunicorn alone."""
    bench.clean()
    hosts = {name: f"web{number}" for number, name in enumerate(WEBS)}
    servers = [_serve(bench, hosts[name], application) for name, application in WEBS.items()]
    for host in hosts.values():  # also warms up
        await_(lambda host=host: wrk(bench, host, 1), f"{host} accepts")  # type: ignore[misc]
    seen: dict[str, list[float]] = {name: [] for name in WEBS}
    for _ in range(runs):
        bench.clean()
        for name, host in [*hosts.items()] * HTTP_ROUNDS:
            rate = wrk(bench, host, HTTP_SECONDS)
            if rate is None:
                raise SystemExit(f"{name} refused requests")
            seen[name].append(rate)
        _compare_records(bench)
    for container in servers:
        bench.remove(container)
    progress(f"accepted in a second: {seen}")
    return seen


def _serve(bench: Bench, host: str, application: str) -> str:
    if application:
        return bench.run(*GUNICORN.split(), application, alias=host)
    return bench.run(alias=host, PROGRAMS="web,eventlistener", QUEUE_LIMIT=10_000_000)


def _compare_records(bench: Bench) -> None:
    """Fails unless each accepted job has a record and a message."""
    ours, stock = (int(bench.cli("LLEN", f"dramatiq:{queue}")) for queue in ("jobs", "stock-jobs"))
    indexed = int(bench.cli("ZCARD", "bench:jobs"))
    records = int(bench.cli("EVAL", COUNT_RECORDS, "0"))
    if not (ours and stock and ours == indexed and ours + stock == records):
        raise SystemExit(f"{ours} and {stock} messages, {indexed} of them in the index, but {records} records")


COUNT_RECORDS = """
local cursor, count = '0', 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', 'bench:job:*', 'COUNT', 10000)
  cursor, count = page[1], count + #page[2]
until cursor == '0'
return count
"""


def wrk(bench: Bench, host: str, seconds: int) -> float | None:
    """Returns the requests answered in a second; None when any was refused."""
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s/srv/bench/post.lua", f"http://{host}:8000/jobs"]
    done = subprocess.run(["docker", "exec", bench.redis, *command], capture_output=True, text=True, timeout=60)  # noqa: S603, S607
    rate = re.findall(r"Requests/sec:\s*([\d.]+)", done.stdout)
    return None if "Non-2xx" in done.stdout or not rate else float(rate[0])


def backlogs(bench: Bench, sizes: list[int], measured: int, runs: int) -> dict[str, Any]:
    """Returns throughput, memory and the time of `queue stats` with so many messages waiting."""
    seen: dict[str, Any] = {str(size): [] for size in sizes}
    for number in range(runs):
        for size in sizes:
            bench.clean()
            arguments = ["backlog", "--messages", size, "--measured", measured]
            seen[str(size)].append(bench.drive(CONTENDERS[0], *arguments))
            rate = seen[str(size)][-1]["completed"]
            progress(f"run {number + 1}, backlog {size:>9,}: {rate:6.0f} completed/s")
    return seen


# --- all of it -------------------------------------------------------------------------------------------------------


def build(image: str, tag: str) -> None:
    """Builds this folder's image on the one under test."""
    progress(f"building {tag} on {image}")
    docker("build", "--quiet", "--build-arg", f"IMAGE={image}", "--tag", tag, str(PEERS), seconds=1800)


def versions() -> dict[str, str]:
    """Returns the versions of the peers and of their clients of Redis, as the lock files pin them."""
    found: dict[str, str] = {}
    for lock in ("common", "saq", "arq"):
        pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", (PEERS / f"requirements/{lock}.lock").read_text(), re.MULTILINE)
        wanted = ("celery", "dramatiq", "rq", "huey", "taskiq", "taskiq-redis", "saq", "arq")
        found |= {name: version for name, version in pinned if name in wanted}
        found[f"redis-py ({lock})"] = dict(pinned)["redis"]
    return found


def machine(bench: Bench) -> dict[str, Any]:
    """Returns what the benchmark ran on."""
    model = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": os.cpu_count(),
        "processor": model[0] if model else "unknown",
        "python": docker("exec", bench.redis, "python", "-c", "import platform; print(platform.python_version())"),
        "redis": re.findall(r"redis_version:(\S+)", bench.cli("INFO", "server"))[0],
        "docker": docker("version", "--format", "{{.Server.Version}}"),
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE, help=f"the image under test; {IMAGE} if not given")
    parser.add_argument("--tag", default=BENCH_IMAGE, help="the name of the image that is built on it")
    parser.add_argument("--quick", action="store_true", help="one run, fewer messages, backlogs up to 100,000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures to this file, for plot.py")
    parser.add_argument("--only", help="names of contenders, with commas between them; Tandem always takes part")
    options = parser.parse_args()
    runs, scale = (1, 0.3) if options.quick else (options.runs, 1.0)
    only = {"Tandem", *(options.only or "").split(",")}
    contenders = [one for one in CONTENDERS if not options.only or one.name in only]
    build(options.image, options.tag)
    with Bench(options.tag) as bench:
        results: dict[str, Any] = {"machine": machine(bench), "versions": versions(), "runs": runs}
        results["sessions"] = sessions(bench, contenders, runs, scale)
        results["kill_seconds"] = 20 if options.quick else KILL_SECONDS
        results["kills"] = kills(bench, contenders, results["kill_seconds"])
        results["container_kills"] = container_kills(bench, runs)
        results["http"] = http(bench, runs)
        sizes = [1_000, 100_000] if options.quick else [1_000, 100_000, 1_000_000]
        results["backlogs"] = backlogs(bench, sizes, 5_000 if options.quick else 15_000, min(runs, 2))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    print(report.tables(results))


if __name__ == "__main__":
    main()
