#!/usr/bin/env python3
"""Measures messages that each insert a row into PostgreSQL: Tandem beside dramatiq with SQLAlchemy and procrastinate.

Usage: benchmarks/sql.py [--image tandem:platform] [--rounds 3] [--messages 600] [--turns 3] [--json FILE]
       benchmarks/sql.py --containers 5 --before IMAGE [--image IMAGE]
The first builds images on the platform's (`docker build --target platform --tag tandem:platform .`), starts containers
of its own and removes them. In each round the contenders take turns in one container, with two processes of eight
threads, the same PostgreSQL and the same Redis; variants of a contender take turns in the same workers. Ratios are of
the same turn. After each turn the rows are counted, and a wrong number ends the program. With --json, the figures of
earlier runs are continued. --only: sql_ours, sql_dramatiq, sql_procrastinate, with commas between them.
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


Figures = dict[str, float]


@dataclass(frozen=True)
class Contender:
    """One of those that are compared. variants: names in its adapter and in tables. part: of the messages, for those
    that need longer."""

    adapter: str
    variants: dict[str, str]
    environment: str
    part: float = 1.0


PLAIN, DIRECT, OUTBOX, ONCE = "Tandem", "Tandem: sent at once", "Tandem: outbox", "Tandem: once"
STOCK, ASYNC, SYNC = "dramatiq with SQLAlchemy", "procrastinate with psycopg", "procrastinate with SQLAlchemy"
NAMES = (PLAIN, DIRECT, OUTBOX, ONCE, STOCK, ASYNC, SYNC)
CONTENDERS = (
    Contender("sql_ours", {"plain": PLAIN, "direct": DIRECT, "outbox": OUTBOX, "once": ONCE}, OURS),
    Contender("sql_dramatiq", {"plain": STOCK}, THEIRS),
    Contender("sql_procrastinate", {"psycopg": ASYNC, "sqlalchemy": SYNC}, THEIRS, 0.4),
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

    def drive(self, one: Contender, messages: int, turns: int) -> dict[str, list[Figures]]:
        """Returns what sql_peers/contenders/sql_drive.py measures of a contender, by name and turn."""
        self.sql("CHECKPOINT")
        program = ["python", "/srv/bench/sql_drive.py", one.adapter, *one.variants]
        program += ["--messages", str(round(messages * one.part)), "--turns", str(turns)]
        program += ["--processes", str(PROCESSES), "--threads", str(THREADS)]
        result = json.loads(self.execute(one.environment, *program).splitlines()[-1])
        seen: dict[str, list[Figures]] = {}
        for variant, name in one.variants.items():
            memory = {"memory": result["memory"], "helpers": result["helpers"]}
            seen[name] = [turn | memory for turn in result["turns"][variant]]
        return seen

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


def measure_rounds(options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Returns the figures of each contender in each turn."""
    seen: dict[str, list[Figures]] = {}
    if options.json and options.json.exists():
        seen = json.loads(options.json.read_text())
    chosen = [one for one in CONTENDERS if not options.only or one.adapter in options.only.split(",")]
    with bench() as made:
        for number in range(options.rounds):
            round_: dict[str, list[Figures]] = {}
            for one in chosen:
                round_ |= made.drive(one, options.messages, options.turns)
                for name in one.variants.values():
                    rates = ", ".join(f"{turn['rate']:.0f}/s ({turn['cpu']:.2f} ms)" for turn in round_[name])
                    progress(f"round {number + 1}, {name:<29} {rates}; load {os.getloadavg()[0]:.1f}")
            # A round that was broken off does not count.
            for name, turns in round_.items():
                seen.setdefault(name, []).extend(turns)
            if options.json:
                options.json.write_text(json.dumps(seen, indent=1))
    return seen


def median(seen: dict[str, list[Figures]], name: str, figure: str) -> float:
    """Returns the median of a figure over all turns."""
    return statistics.median(turn[figure] for turn in seen[name])


def ratio(seen: dict[str, list[Figures]], name: str, base: str, figure: str = "rate") -> float:
    """Returns the median of the ratios of two contenders in the same turn."""
    return statistics.median(one[figure] / other[figure] for one, other in zip(seen[name], seen[base], strict=True))


def table(seen: dict[str, list[Figures]]) -> str:
    """Returns what was measured as tables in Markdown."""
    names = [name for name in NAMES if name in seen]
    lines = [
        f"{len(seen[names[0]])} turns.",
        "",
        "| | messages/s | of Tandem's | processor time each, ms | of Tandem's | memory of a worker, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in names:
        cells = [f"{median(seen, name, 'rate'):,.0f}", f"{ratio(seen, name, names[0]):.2f}x"]
        cells += [f"{median(seen, name, 'cpu'):.2f}", f"{ratio(seen, name, names[0], 'cpu'):.2f}x"]
        lines.append(f"| {name} | {' | '.join(cells)} | {median(seen, name, 'memory'):.0f} |")
    lines += ["", "| goal | wanted | reached | |", "| --- | ---: | ---: | --- |"]
    if {PLAIN, ASYNC} <= set(names):
        turns = zip(seen[PLAIN], seen[ASYNC], seen[SYNC], strict=True)
        ahead = statistics.median(ours["rate"] / max(one["rate"], other["rate"]) for ours, one, other in turns)
        lines.append(f"| times the quicker procrastinate | ≥ 1.5 | {ahead:.2f} | {met(ahead >= 1.5)} |")
    if OUTBOX in names:
        more = ratio(seen, DIRECT, OUTBOX) - 1
        lines.append(f"| time that the outbox adds to sending at once | ≤ 25 % | {more:.0%} | {met(more <= 0.25)} |")
        lines += ["", f"The program `outbox`: {median(seen, OUTBOX, 'helpers'):.0f} MiB."]
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
    parser.add_argument("--messages", type=int, default=600, help="of one turn")
    parser.add_argument("--turns", type=int, default=3, help="of each variant in a round")
    parser.add_argument("--json", type=Path, help="continue the figures in this file, and write all to it")
    parser.add_argument("--only", help="sql_ours, sql_dramatiq, sql_procrastinate, with commas between them")
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
