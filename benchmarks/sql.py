#!/usr/bin/env python3
"""Measures messages that each insert a row into PostgreSQL: Tandem beside dramatiq with SQLAlchemy and procrastinate.

Usage: benchmarks/sql.py [--image tandem:platform] [--rounds 3] [--messages 2000] [--json FILE] [--only NAME,…]
       benchmarks/sql.py --containers 5 --before IMAGE [--image IMAGE]
The first builds images on the platform's (`docker build --target platform --tag tandem:platform .`), starts containers
of its own and removes them. All contenders take turns in one container, with two processes of eight threads, the same
PostgreSQL and the same Redis; the ratios are those of the same round. Every row is counted after each turn, and a wrong
number ends the program. With --json, the figures of earlier runs are continued.
The second compares an application without SQL on two platforms, and one with it: size, memory, start.
Needs a Docker engine. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import (
    COMMAND_SECONDS,
    LIKE_COMPOSE,
    ROOT,
    await_,
    await_healthy,
    docker,
    memory_mib,
    progress,
    redis_cli,
    remove,
    running,
    start,
)

PEERS = Path(__file__).resolve().parent / "sql_peers"
POSTGRES = ROOT / "tests/databases/postgres"
IMAGE = "tandem:platform"
BENCH_IMAGE, POSTGRES_IMAGE = "tandem-bench-sql:local", "tandem-bench-sql:postgres"
REDIS = "redis-server /etc/tandem/redis.conf --port 6379 --bind 0.0.0.0 --protected-mode no --maxmemory 0"
REDIS_URL = "redis://127.0.0.1:6379"
DATABASE = "tandem:tandem@postgres/tandem"
PROCESSES, THREADS = 2, 8
OURS, THEIRS = "/opt/venv", "/opt/peers"


@dataclass(frozen=True)
class Contender:
    """One of those that are compared. part: of the messages, so that it takes about as long as the others."""

    name: str
    adapter: str
    variant: str
    environment: str = OURS
    part: float = 1.0


PLAIN, DIRECT, OUTBOX, ONCE = "Tandem", "Tandem, sends at once", "Tandem, outbox", "Tandem, once"
STOCK, ASYNC, SYNC = "dramatiq, SQLAlchemy", "procrastinate, psycopg", "procrastinate, SQLAlchemy"
CONTENDERS = (
    Contender(PLAIN, "sql_ours", "plain"),
    Contender(DIRECT, "sql_ours", "direct"),
    Contender(OUTBOX, "sql_ours", "outbox"),
    Contender(ONCE, "sql_ours", "once"),
    Contender(STOCK, "sql_dramatiq", "plain", THEIRS),
    Contender(ASYNC, "sql_procrastinate", "async", THEIRS, 0.4),
    Contender(SYNC, "sql_procrastinate", "sync", THEIRS, 0.2),
)

# --- throughput ------------------------------------------------------------------------------------------------------


class Bench:
    """A network with PostgreSQL, and a container with Redis in which the contenders run."""

    def __init__(self, network: str, postgres: str, container: str) -> None:
        self.network, self.postgres, self.container = network, postgres, container

    def execute(self, environment: str, *command: str, **settings: str) -> str:
        """Returns the output of a command in the container."""
        path = {"PATH": f"{environment}/bin:/usr/local/bin:/usr/bin:/bin"}
        if environment == THEIRS:
            path["PYTHONPATH"] = "/srv/bench"
        options = [f"--env={name}={value}" for name, value in {**path, **settings}.items()]
        return docker("exec", *options, self.container, *command, seconds=200)

    def drive(self, one: Contender, messages: int) -> dict[str, float]:
        """Returns what sql_peers/contenders/sql_drive.py measures of a contender."""
        self.sql("CHECKPOINT")
        program = ["python", "/srv/bench/sql_drive.py", one.adapter, "--messages", str(round(messages * one.part))]
        program += ["--processes", str(PROCESSES), "--threads", str(THREADS)]
        answer = self.execute(one.environment, *program, BENCH_VARIANT=one.variant)
        result: dict[str, float] = json.loads(answer.splitlines()[-1])
        return result

    def sql(self, statement: str) -> str:
        """Returns what PostgreSQL answers its administrator."""
        return docker("exec", self.postgres, "psql", "--username=postgres", "-qAtc", statement, "tandem")


@contextmanager
def bench() -> Iterator[Bench]:
    """Starts what the contenders need, with the schemas of all; removes it at the end of the block."""
    network = f"tandem-bench-{os.getpid()}"
    docker("network", "create", network)
    started = []
    limits = ("--memory", "1g", "--memory-swap", "1g", "--network", network)
    try:
        started.append(start(POSTGRES_IMAGE, options=(*limits, "--network-alias", "postgres", "--shm-size", "256m")))
        await_healthy(started[0])
        settings = {
            "REDIS_URL": REDIS_URL,
            "LOG_LEVEL": "WARNING",
            "BENCH_THREADS": THREADS,
            "DATABASE_URL": f"postgresql://{DATABASE}",
            "BENCH_DATABASE": f"postgresql+psycopg://{DATABASE}",
        }
        options = (*limits, "--no-healthcheck")
        started.append(start(BENCH_IMAGE, *REDIS.split(), options=options, **settings))
        made = Bench(network, *started)
        made.execute(OURS, "queue", "db", "upgrade")
        made.execute(THEIRS, "procrastinate", "--app", "sql_procrastinate.app", "schema", "--apply")
        yield made
    finally:
        for container in reversed(started):
            remove(container)
        docker("network", "rm", network)


def build(image: str) -> None:
    """Builds PostgreSQL's image, and that of the contenders on the platform's."""
    progress(f"building on {image}")
    docker("build", "--quiet", "--label", "tandem.bench", "--tag", POSTGRES_IMAGE, str(POSTGRES))
    arguments = ("--build-arg", f"IMAGE={image}", "--tag", BENCH_IMAGE, str(PEERS))
    docker("build", "--quiet", "--label", "tandem.bench", *arguments, seconds=COMMAND_SECONDS)


def measure_rounds(options: argparse.Namespace) -> list[dict[str, dict[str, float]]]:
    """Returns the figures of each contender in each round."""
    earlier = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    rounds: list[dict[str, dict[str, float]]] = earlier
    only = options.only.split(",") if options.only else [one.name for one in CONTENDERS]
    with bench() as made:
        for number in range(options.rounds):
            seen: dict[str, dict[str, float]] = {}
            for one in CONTENDERS:
                if one.name in only:
                    seen[one.name] = made.drive(one, options.messages)
                    figures = f"{seen[one.name]['rate']:6.0f}/s, {seen[one.name]['cpu']:.2f} ms of processor time each"
                    progress(f"round {number + 1}, {one.name:<26} {figures}, load {os.getloadavg()[0]:.1f}")
            rounds.append(seen)
            if options.json:
                options.json.write_text(json.dumps(rounds, indent=1))
    return rounds


def median(rounds: list[dict[str, dict[str, float]]], name: str, figure: str) -> float:
    """Returns the median of a figure over the rounds."""
    return statistics.median(one[name][figure] for one in rounds)


def ratio(rounds: list[dict[str, dict[str, float]]], name: str, base: str, figure: str = "rate") -> float:
    """Returns the median of the ratios of two contenders in the same round."""
    return statistics.median(one[name][figure] / one[base][figure] for one in rounds)


def table(rounds: list[dict[str, dict[str, float]]]) -> str:
    """Returns what was measured as tables in Markdown."""
    names = [one.name for one in CONTENDERS if all(one.name in seen for seen in rounds)]
    lines = ["| | messages/s | of Tandem's | processor time each, ms | memory of a worker, MiB |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name in names:
        cells = [f"{median(rounds, name, 'rate'):,.0f}", f"{ratio(rounds, name, PLAIN):.2f}x"]
        cells += [f"{median(rounds, name, 'cpu'):.2f}", f"{median(rounds, name, 'memory'):.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| goal | wanted | reached | |", "| --- | ---: | ---: | --- |"]
    if {PLAIN, ASYNC, SYNC} <= set(names):
        ahead = statistics.median(one[PLAIN]["rate"] / max(one[ASYNC]["rate"], one[SYNC]["rate"]) for one in rounds)
        lines.append(f"| times the quicker procrastinate | ≥ 1.5 | {ahead:.2f} | {met(ahead >= 1.5)} |")
    if {DIRECT, OUTBOX} <= set(names):
        more = ratio(rounds, DIRECT, OUTBOX) - 1
        lines.append(f"| time that the outbox adds to sending at once | ≤ 25 % | {more:.0%} | {met(more <= 0.25)} |")
    return "\n".join(lines)


def met(reached: bool) -> str:
    """Returns how a goal's row ends."""
    return "met" if reached else "**missed**"


# --- a workload without SQL, on two platforms ------------------------------------------------------------------------

#: An application with one short actor, in the place of the image's own.
COUNTING = (*LIKE_COMPOSE, "--volume", f"{ROOT}/benchmarks/inside:/srv/benchmark:ro")
APPLICATION = {"TANDEM_APP": "counting", "PYTHONPATH": "/srv/tandem:/opt/packages:/srv/benchmark"}
COUNTED = 1000
WITH_SQL = "now, with SQL"
#: The memory of each worker, in KiB, shared pages counted in parts.
WORKERS_MEMORY = """
from pathlib import Path
for folder in Path("/proc").glob("[0-9]*"):
    if b"consume" in (folder / "cmdline").read_bytes() and b"python" in (folder / "cmdline").read_bytes():
        print(next(line.split()[1] for line in (folder / "smaps_rollup").read_text().splitlines() if "Pss:" in line))
"""


def compare_containers(images: dict[str, str], runs: int) -> None:
    """Prints size, memory and start of an application without SQL on both platforms, and of one with it."""
    figures: dict[str, dict[str, list[float]]] = {which: {"start": [], "worker": [], "all": []} for which in images}
    figures[WITH_SQL] = {"start": [], "worker": [], "all": []}
    with bench() as made:
        for number in range(runs):
            for which, seen in figures.items():
                if which == WITH_SQL:
                    options = (*LIKE_COMPOSE, "--network", made.network)
                    measured = measure_container(
                        BENCH_IMAGE, options, {}, lambda _: made.sql("SELECT count(*) FROM notes")
                    )
                    made.sql("TRUNCATE notes")
                else:
                    measured = measure_container(images[which], COUNTING, APPLICATION, counted)
                for name, figure in zip(seen, measured, strict=True):
                    seen[name].append(figure)
                last = ", ".join(f"{name} {seen[name][-1]:.2f}" for name in seen)
                progress(f"run {number + 1}, {which:<15} {last}, load {os.getloadavg()[0]:.1f}")
    print("| | image, MB | start to healthy, s | memory of a worker, MiB | of the container, MiB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for which, seen in figures.items():
        size = json.loads(docker("image", "inspect", images.get(which, BENCH_IMAGE)))[0]["Size"] / 1e6
        shown = "" if which == WITH_SQL else f"{size:.1f}"
        cells = [
            f"{statistics.median(seen[name]):.{digits}f}" for name, digits in (("start", 2), ("worker", 1), ("all", 0))
        ]
        print(f"| {which} | {shown} | {' | '.join(cells)} |")


def measure_container(
    image: str, options: tuple[str, ...], settings: dict[str, str], done: Callable[[str], str]
) -> tuple[float, float, float]:
    """Returns the seconds to healthy, and the memory of a worker and of the container after 1000 messages."""
    since = time.monotonic()
    with running(image, options=options, LOG_LEVEL="WARNING", **settings) as container:
        await_healthy(container, pause=0.02)
        seconds = time.monotonic() - since
        docker("exec", container, "queue", "count", str(COUNTED))
        await_(lambda: done(container) == str(COUNTED), f"{COUNTED} messages completed")
        kib = [int(line) for line in docker("exec", container, "python", "-c", WORKERS_MEMORY).split()]
        return seconds, statistics.mean(kib) / 1024, memory_mib(container)


def counted(container: str) -> str:
    """Returns how many messages of benchmarks/inside/counting.py have been completed."""
    return redis_cli(container, "LLEN", "counted")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE, help="the platform under test")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="continue the figures in this file, and write all to it")
    parser.add_argument("--only", help="names of contenders, with commas between them")
    parser.add_argument("--before", help="another platform, to be compared with --image")
    parser.add_argument("--containers", type=int, default=5, help="how often containers are started, with --before")
    options = parser.parse_args()
    build(options.image)
    if options.before:
        compare_containers({"before": options.before, "now": options.image}, options.containers)
        return
    print(table(measure_rounds(options)))


if __name__ == "__main__":
    main()
