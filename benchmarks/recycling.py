#!/usr/bin/env python3
"""Measures what recycling costs: throughput of short messages with workers that leave every few seconds, against none.

Usage: benchmarks/recycling.py [--image tandem-app] [--messages 100000] [--runs 3]
Needs a Docker engine and the image, which bin/up builds. Fills the queue while the workers are stopped, then measures
from their start until the last message is completed; both kinds in turn.
Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import statistics
import time

from harness import IMAGE, LIKE_COMPOSE, ROOT, await_, await_healthy, docker, redis_cli, running

MAX_SECONDS = 600.0
#: An application with one short actor, in the place of the image's own.
COUNTING = (*LIKE_COMPOSE, "--volume", f"{ROOT}/benchmarks/inside:/srv/benchmark:ro")
PYTHONPATH = "/srv/tandem:/opt/packages:/srv/benchmark"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    kinds = {"never": "0", "every 5 s": "5"}
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(options.runs):
        for kind, limit in kinds.items():
            rates[kind].append(measure(options.image, limit, options.messages))
            print(f"run {number + 1}, recycled {kind:<10}  {rates[kind][-1]:7.0f} messages/s", flush=True)
    base = statistics.median(rates["never"])
    for kind, seen in rates.items():
        median = statistics.median(seen)
        print(f"recycled {kind:<10}  {median:7.0f} messages/s in the median   {median / base:6.1%} of never")


def measure(image: str, time_limit: str, messages: int) -> float:
    """Returns the messages that two workers with this WORKER_TIME_LIMIT complete in a second."""
    settings = {"WORKER_TIME_LIMIT": time_limit, "WORKER_MESSAGE_LIMIT": 0, "LOG_LEVEL": "WARNING"}
    application = {"TANDEM_APP": "counting", "PYTHONPATH": PYTHONPATH}
    with running(image, options=COUNTING, **settings, **application) as container:
        await_healthy(container)
        docker("exec", container, "supervisorctl", "stop", "worker:*")
        docker("exec", container, "queue", "count", str(messages))
        since = time.monotonic()
        docker("exec", container, "supervisorctl", "start", "worker:*")
        await_(lambda: completed(container) >= messages, f"{messages} messages completed", seconds=MAX_SECONDS)
        seconds = time.monotonic() - since
        if completed(container) != messages:
            raise SystemExit(f"{completed(container)} messages were completed instead of {messages}")
        return messages / seconds


def completed(container: str) -> int:
    """Returns how many messages have been completed."""
    return int(redis_cli(container, "LLEN", "counted"))


if __name__ == "__main__":
    main()
