#!/usr/bin/env python3
"""Tandem and its peers on one Redis, in one run: prints tables for docs/benchmarks.md.

Usage: benchmarks/peers.py [--quick] [--runs 3] [--json FILE] [--only NAME,…]
Needs a Docker engine; builds the images of this folder (benchmarks/peers/Dockerfile), starts containers of its own and
removes them. Every measurement is made `--runs` times, the contenders in turn, and medians are told. All meet the same
Redis, with the settings of the image but no bound of its memory. About twelve minutes.
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers_report

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks/peers"
APP, BENCH, MODEL = "tandem-bench-app:local", "tandem-bench:local", "tandem-bench-model:local"
REDIS = "redis-server /etc/tandem/redis.conf --bind 0.0.0.0 --protected-mode no --maxmemory 0"
# A rewrite of the file in the middle of a measurement would be somebody's bad luck.
REDIS += " --auto-aof-rewrite-percentage 0"
REDIS_URL = "redis://redis:6379"
LONGEST = 180.0
KILL_SECONDS = 60
LATENCY, CONCURRENCY = 0.5, 4
HTTP_SECONDS = 5
MARKS = 30


@dataclass(frozen=True)
class Contender:
    """One of those who are compared. `messages`: about as many as it handles in three seconds."""

    name: str
    adapter: str
    environment: str
    messages: int
    threads: int = 8
    pool: str = "threads"
    #: Only measured with one process, for its throughput.
    brief: bool = False


CONTENDERS = (
    Contender("Tandem", "ours", "/opt/venv", 15_000),
    Contender("dramatiq", "stock", "/opt/peers/requirements", 6_000),
    Contender("taskiq", "taskiq_peer", "/opt/peers/requirements", 9_000),
    Contender("huey", "huey_peer", "/opt/peers/requirements", 10_000),
    Contender("SAQ", "saq_peer", "/opt/peers/saq", 5_000),
    Contender("Celery", "celery_peer", "/opt/peers/requirements", 3_000),
    Contender("RQ", "rq_peer", "/opt/peers/requirements", 1_500),
    Contender("arq", "arq_peer", "/opt/peers/arq", 800),
    Contender("Tandem, 1 thread", "ours", "/opt/venv", 9_000, threads=1, brief=True),
    Contender("dramatiq, 1 thread", "stock", "/opt/peers/requirements", 900, threads=1, brief=True),
    Contender("Celery, prefork", "celery_peer", "/opt/peers/requirements", 3_000, pool="prefork", brief=True),
)


def docker(*arguments: str, seconds: float = LONGEST) -> str:
    """Output of a docker command that has to succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds)  # noqa: S603, S607
    if done.returncode:
        raise SystemExit(f"docker {' '.join(arguments)[:200]}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


def say(text: str) -> None:
    """Tells on stderr how far it is; stdout is for the tables."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


class Bench:
    """A network with one Redis, and containers on it that are removed at the end."""

    def __init__(self) -> None:
        self._network = f"tandem-bench-{os.getpid()}"
        self._containers: list[str] = []

    def __enter__(self) -> Bench:
        docker("network", "create", self._network)
        self.redis = self.run(BENCH, *REDIS.split(), alias="redis")
        await_(lambda: self.cli("PING") == "PONG", "Redis")
        return self

    def __exit__(self, *_: object) -> None:
        for container in reversed(self._containers):
            self.remove(container)
        docker("network", "rm", self._network)

    def run(self, image: str, *command: str, alias: str, **settings: object) -> str:
        """Starts a container; its id."""
        settings = {
            "REDIS_URL": REDIS_URL,
            "BENCH_REDIS": REDIS_URL,
            "LOG_LEVEL": "WARNING",
            "RATE_LIMIT": 0,
            # The same text goes out again and again, and every call of the model is to be made.
            "TRANSLATION_CACHE": 0,
        } | settings
        environment = [f"--env={name}={value}" for name, value in settings.items()]
        options = ["--network", self._network, "--network-alias", alias, "--label", "tandem.bench", *environment]
        # While a container starts, its health is looked at twice a second.
        options.append("--no-healthcheck")
        container = docker("run", "--detach", *options, image, *command)
        self._containers.append(container)
        return container

    def remove(self, container: str) -> None:
        """Removes a container of its own with its volumes, by force."""
        docker("rm", "--force", "--volumes", container)
        self._containers.remove(container)

    def cli(self, *command: str) -> str:
        """What Redis answers."""
        return docker("exec", self.redis, "redis-cli", *command)

    def drive(self, contender: Contender, *arguments: object) -> dict[str, Any]:
        """What benchmarks/peers/drive.py measures of a contender."""
        loopback = "redis://127.0.0.1:6379"
        settings = {
            "BENCH_REDIS": loopback,
            "REDIS_URL": loopback,
            "BENCH_NAME": contender.adapter,
            "BENCH_THREADS": contender.threads,
            "BENCH_POOL": contender.pool,
            "PATH": f"{contender.environment}/bin:/usr/local/bin:/usr/bin:/bin",
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
        await_(lambda: "aof_rewrite_in_progress:0" in self.cli("INFO", "persistence"), "a rewrite's end")


def await_(look: Callable[[], object], what: str, seconds: float = 60, pause: float = 0.1) -> None:
    """Waits until `look` is true."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)


# --- the measurements ------------------------------------------------------------------------------------------------


def sessions(bench: Bench, contenders: list[Contender], runs: int, scale: float) -> dict[str, Any]:
    """For each contender and number of processes: the list of what drive.py has measured."""
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
                told = f"{result['handled']:6.0f} handled/s, {result['enqueued']:6.0f} sent/s, {result['lost']} lost"
                say(f"run {number + 1}, processes {processes}, {contender.name:<18} {told}")
    return seen


def kills(bench: Bench, contenders: list[Contender], seconds: int) -> dict[str, float | None]:
    """Until a message whose process was killed runs again, all peers at once: they only wait."""
    bench.clean()
    whole = [contender for contender in contenders if not contender.brief and contender.name != "Tandem"]
    with ThreadPoolExecutor(len(whole)) as pool:
        results = pool.map(lambda one: bench.drive(one, "recovery", "--seconds", seconds), whole)
        return {contender.name: result["seconds"] for contender, result in zip(whole, results, strict=True)}


def container_kills(bench: Bench, runs: int) -> dict[str, list[float]]:
    """The same of our container: its worker killed, and the whole container killed beside another one."""
    bench.clean()
    settings = {"PROGRAMS": "worker,monitor,events", "WORKERS": 1, "WORKER_QUEUES": "bench"}
    held = "bench:ours:held"
    first = bench.run(BENCH, alias="one", **settings)
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
    second = bench.run(BENCH, alias="two", **settings)
    await_(lambda: bench.cli("HLEN", "tandem:workers") == "2", "a second worker")
    time.sleep(3)
    killed = time.monotonic()
    docker("kill", first)
    seen["container"].append(again(killed))
    bench.remove(first)
    bench.remove(second)
    say(f"kill -9 of a worker {seen['worker']}, of a container {seen['container']}")
    return seen


def http(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Requests accepted in a second: ours, and gunicorn with as many processes and threads that only pushes."""
    bench.clean()
    gunicorn = "gunicorn --bind 0.0.0.0:8000 --workers 2 --threads 8 --worker-class gthread --preload"
    servers = {
        "Tandem": bench.run(APP, alias="web", PROGRAMS="web", QUEUE_LIMIT=10_000_000),
        "bare gunicorn": bench.run(BENCH, *gunicorn.split(), "bare:bare", alias="bare"),
        "bare Flask": bench.run(BENCH, *gunicorn.split(), "bare:flask", alias="flask"),
    }
    hosts = dict(zip(servers, ("web", "bare", "flask"), strict=True))
    seen: dict[str, list[float]] = {name: [] for name in servers}
    for host in hosts.values():  # also warms up
        await_(lambda host=host: wrk(bench, host, 1), f"{host} accepts")  # type: ignore[misc]
    for _ in range(runs):
        for name, host in hosts.items():
            rate = wrk(bench, host, HTTP_SECONDS)
            if rate is None:
                raise SystemExit(f"{name} refused some")
            seen[name].append(rate)
    for container in servers.values():
        bench.remove(container)
    say(f"accepted in a second: {seen}")
    return seen


def wrk(bench: Bench, host: str, seconds: int) -> float | None:
    """Requests answered in a second; None when any was refused."""
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s/srv/bench/post.lua", f"http://{host}:8000/translations"]
    done = subprocess.run(["docker", "exec", bench.redis, *command], capture_output=True, text=True, timeout=LONGEST)  # noqa: S603, S607
    rate = re.findall(r"Requests/sec:\s*([\d.]+)", done.stdout)
    return None if "Non-2xx" in done.stdout or not rate else float(rate[0])


def translations(bench: Bench, count: int) -> dict[str, float]:
    """Translations in a second with a model that always needs LATENCY seconds, and the limit."""
    bench.clean()
    bench.run(MODEL, alias="model", MODEL_TEST_MODELS=1, MODEL_DELAY=LATENCY, OLLAMA_NUM_PARALLEL=64)
    settings = {"OLLAMA_MODEL": "apertium-fixed-latency", "OLLAMA_CONCURRENCY": CONCURRENCY}
    app = bench.run(APP, alias="app", PROGRAMS="web,worker,monitor,events", **settings)
    rate = float(docker("exec", bench.redis, "python", "/srv/bench/translate.py", "app", str(count)))
    bench.remove(app)
    say(f"translations in a second {rate:.2f}, limit {CONCURRENCY / LATENCY:.2f}")
    return {"rate": rate, "limit": CONCURRENCY / LATENCY}


def backlogs(bench: Bench, sizes: list[int], measured: int, runs: int) -> dict[str, Any]:
    """Throughput, memory and `queue stats` with so many messages waiting."""
    seen: dict[str, Any] = {str(size): [] for size in sizes}
    for number in range(runs):
        for size in sizes:
            bench.clean()
            arguments = ["backlog", "--messages", size, "--measured", measured]
            seen[str(size)].append(bench.drive(CONTENDERS[0], *arguments))
            say(f"run {number + 1}, backlog {size:>9,}: {seen[str(size)][-1]['handled']:6.0f} handled/s")
    return seen


# --- all of it -------------------------------------------------------------------------------------------------------


def build() -> None:
    """The images of this working tree."""
    for tag, options in {
        APP: ["."],
        MODEL: ["model"],
        BENCH: ["--build-arg", f"IMAGE={APP}", "--file", str(PEERS / "Dockerfile"), "."],
    }.items():
        say(f"building {tag}")
        subprocess.run(["docker", "build", "--quiet", "--tag", tag, *options], check=True, cwd=ROOT, stdout=sys.stderr)  # noqa: S603, S607


def versions() -> dict[str, str]:
    """Of the peers and what they stand on, as the lock files pin them."""
    found: dict[str, str] = {}
    for lock in ("requirements", "saq", "arq"):
        pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", (PEERS / f"{lock}.lock").read_text(), re.MULTILINE)
        wanted = ("celery", "dramatiq", "rq", "huey", "taskiq", "taskiq-redis", "saq", "arq")
        found |= {name: version for name, version in pinned if name in wanted}
        found[f"redis-py ({lock})"] = dict(pinned)["redis"]
    return found


def machine(bench: Bench) -> dict[str, Any]:
    """What it ran on."""
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
    parser.add_argument("--quick", action="store_true", help="one run, fewer messages, backlogs up to 100,000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures to this file, for benchmarks/peers_plot.py")
    parser.add_argument("--only", help="names of contenders, with commas between them; Tandem is always there")
    options = parser.parse_args()
    runs, scale = (1, 0.3) if options.quick else (options.runs, 1.0)
    only = {"Tandem", *(options.only or "").split(",")}
    contenders = [one for one in CONTENDERS if not options.only or one.name in only]
    build()
    with Bench() as bench:
        results: dict[str, Any] = {"machine": machine(bench), "versions": versions(), "runs": runs}
        results["sessions"] = sessions(bench, contenders, runs, scale)
        results["kills"] = kills(bench, contenders, 20 if options.quick else KILL_SECONDS)
        results["container_kills"] = container_kills(bench, runs)
        results["http"] = http(bench, runs)
        results["translations"] = translations(bench, 40 if options.quick else 160)
        sizes = [1_000, 100_000] if options.quick else [1_000, 100_000, 1_000_000]
        results["backlogs"] = backlogs(bench, sizes, 5_000 if options.quick else 15_000, min(runs, 2))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    print(peers_report.tables(results))


if __name__ == "__main__":
    main()
