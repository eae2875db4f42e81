#!/usr/bin/env python3
"""What recycling costs: throughput of short messages with workers that leave every few seconds, against none.

Usage: benchmarks/recycling.py [--messages 100000] [--runs 3]
Needs a Docker engine and the image tandem-probes:test, which `bin/test integration` builds. Fills the queue while the
workers are stopped, then measures from their start until the last message is handled; both kinds in turn.
Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable

IMAGE = "tandem-probes:test"
LONGEST = 600.0


def docker(*arguments: str) -> str:
    """Output of a docker command that has to succeed."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603, S607


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    kinds = {"never": "0", "every 5 s": "5"}
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(options.runs):
        for kind, limit in kinds.items():
            rates[kind].append(measure(limit, options.messages))
            print(f"run {number + 1}, recycled {kind:<10}  {rates[kind][-1]:7.0f} messages/s", flush=True)
    base = statistics.median(rates["never"])
    for kind, seen in rates.items():
        median = statistics.median(seen)
        print(f"recycled {kind:<10}  {median:7.0f} messages/s in the median   {median / base:6.1%} of never")


def measure(time_limit: str, messages: int) -> float:
    """Messages handled in a second by two workers with this WORKER_TIME_LIMIT."""
    settings = (f"WORKER_TIME_LIMIT={time_limit}", "WORKER_MESSAGE_LIMIT=0", "LOG_LEVEL=WARNING")
    container = docker("run", "--detach", *(f"--env={setting}" for setting in settings), IMAGE)
    try:
        await_(lambda: docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy")
        docker("exec", container, "supervisorctl", "stop", "worker:*")
        docker("exec", container, "queue", "probe", "count", '["handled", "n"]', "--times", str(messages))
        docker("exec", container, "supervisorctl", "start", "worker:*")
        since = time.monotonic()
        await_(lambda: handled(container) >= messages)
        seconds = time.monotonic() - since
        if handled(container) != messages:
            raise SystemExit(f"{handled(container)} messages were handled instead of {messages}")
        return messages / seconds
    finally:
        docker("rm", "--force", "--volumes", container)


def handled(container: str) -> int:
    """How many messages have been handled."""
    return int(docker("exec", container, "redis-cli", "-s", "/run/tandem/redis.sock", "LLEN", "handled"))


def await_(look: Callable[[], bool]) -> None:
    """Waits until `look` is true."""
    deadline = time.monotonic() + LONGEST
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"it did not end within {LONGEST:.0f} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
