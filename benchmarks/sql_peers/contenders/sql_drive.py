"""Runs in the image. Starts one contender's workers, sends messages and prints what was measured as JSON.

Usage: sql_drive.py ADAPTER VARIANT… [--messages 600] [--turns 3] [--processes 2] [--threads 8]
The variants take turns in the same workers.
Fails when a message has inserted no row or two, or when one that it should have sent is missing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import redis

BOOT_SECONDS = 40.0
LONGEST = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
LOG = Path("/tmp/sql.log")  # noqa: S108
#: What is emptied before each measurement.
TABLES = ("notes", "tandem_outbox", "tandem_handled", "procrastinate_jobs")

client: Any = redis.Redis.from_url(os.environ["REDIS_URL"])
database = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def scalar(query: Any) -> int:
    row = database.execute(query).fetchone()
    return int(row[0]) if row else 0


class Programs:
    """Programs of one contender with their children."""

    def __init__(self, commands: list[list[str]]) -> None:
        with LOG.open("a") as log:
            self._running = [
                subprocess.Popen(command, stdout=log, stderr=log, cwd="/srv/bench")  # noqa: S603
                for command in commands
            ]

    def pids(self) -> list[int]:
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        found = [process.pid for process in self._running]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def signal(self, number: int) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def memory(self) -> float:
        """Return the MiB of all, shared pages counted in parts (proc(5), smaps_rollup)."""
        kib = 0
        for pid in self.pids():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return kib / 1024

    def cpu(self) -> float:
        """Return the seconds of processor time of all."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        for process in self._running:
            process.wait()


def wait(check: Callable[[], Any], seconds: float, what: str, pause: float = 0.02) -> None:
    """Call `check` until it returns something true; end this program with the workers' log after `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            sys.exit(f"not within {seconds:.0f} s: {what}\n{LOG.read_text()[-3000:]}")
        time.sleep(pause)


def empty() -> None:
    client.flushall()
    database.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE".encode())


def boot(peer: Any, variants: list[str], processes: int) -> None:
    """Send messages of all variants until every process has handled one."""
    deadline = time.monotonic() + BOOT_SECONDS
    while scalar("SELECT count(DISTINCT worker) FROM notes") < processes and time.monotonic() < deadline:
        for variant in variants:
            peer.send(variant, 100)
        wait(lambda: not peer.left(), BOOT_SECONDS, "the first messages completed")
    wait(lambda: not scalar("SELECT count(*) FROM tandem_outbox"), BOOT_SECONDS, "the first messages sent")


def measure(peer: Any, workers: Programs, variant: str, messages: int) -> dict[str, float]:
    workers.signal(signal.SIGSTOP)
    # What these tables hold from here on is counted.
    database.execute("TRUNCATE notes")
    client.delete("dramatiq:told", "dramatiq:told.msgs")
    peer.send(variant, messages)
    time.sleep(0.3)
    before, since = workers.cpu(), time.monotonic()
    workers.signal(signal.SIGCONT)
    wait(lambda: scalar("SELECT count(*) FROM notes") >= messages, LONGEST, f"{messages} rows")
    if variant in peer.TELLS:
        wait(lambda: client.llen("dramatiq:told") >= messages, LONGEST, f"{messages} messages sent", 0.005)
    seconds = time.monotonic() - since
    return {"rate": messages / seconds, "cpu": (workers.cpu() - before) * 1000 / messages}


def check(peer: Any, variant: str, messages: int) -> None:
    """End this program unless each message has had its effect once, and nothing is left."""
    wait(lambda: not peer.left(), 15, "all messages acknowledged")
    time.sleep(0.2)
    rows, numbers = scalar("SELECT count(*) FROM notes"), scalar("SELECT count(DISTINCT number) FROM notes")
    if not rows == numbers == messages:
        sys.exit(f"{messages} messages have inserted {rows} rows with {numbers} numbers")
    if variant in peer.TELLS and (told := client.llen("dramatiq:told")) != messages:
        sys.exit(f"{messages} messages have sent {told}")
    if kept := scalar("SELECT count(*) FROM tandem_outbox"):
        sys.exit(f"{kept} messages are still in the outbox")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter")
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--messages", type=int, default=600)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    peer = importlib.import_module(options.adapter)
    LOG.write_text("")
    empty()
    workers, helpers = Programs(peer.workers(options.processes, options.threads)), Programs(peer.helpers())
    try:
        boot(peer, options.variants, options.processes)
        turns: dict[str, list[dict[str, float]]] = {variant: [] for variant in options.variants}
        for variant in options.variants * options.turns:
            turns[variant].append(measure(peer, workers, variant, options.messages))
            check(peer, variant, options.messages)
        result = {"turns": turns, "memory": workers.memory() / options.processes, "helpers": helpers.memory()}
    finally:
        workers.kill()
        helpers.kill()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
