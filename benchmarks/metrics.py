#!/usr/bin/env python3
"""Measures a scrape of /metrics with many queues and actors: how long it takes, and how long it blocks Redis.

Usage: benchmarks/metrics.py [--image tandem-app] [--queues 50] [--actors 200] [--scrapes 30]
Needs a Docker engine and the image, which bin/up builds. Starts a container of its own and removes it. How long Redis
was blocked is the longest command in its slow log. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import statistics
import time
import urllib.request

from harness import IMAGE, await_healthy, docker, redis_cli, running

GOAL_MS, GOAL_BLOCKED_MS = 50.0, 5.0

FILL = """
import sys
from tandem.broker.connection import connect_to
from tandem.broker.totals import EDGES
queues, actors = map(int, sys.argv[1:])
client = connect_to("unix:///run/tandem/redis.sock")
pipeline = client.pipeline(transaction=False)
for number in range(actors):
    queue, actor, fields = f"queue_{number % queues}", f"actor_{number}", {}
    for outcome in ("completed", "retried", "failed"):
        fields[f"{actor}\\t{outcome}"] = 100 + number
    for what in ("wait", "run"):
        fields[f"{actor}\\t{what}\\tsum"] = 123456789
        for bucket in range(1, len(EDGES) + 2):
            fields[f"{actor}\\t{what}\\t{bucket}"] = bucket * 7
    pipeline.hset(f"tandem:totals:{queue}", mapping=fields)
    pipeline.sadd("tandem:queues", queue)
pipeline.execute()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--queues", type=int, default=50)
    parser.add_argument("--actors", type=int, default=200)
    parser.add_argument("--scrapes", type=int, default=30)
    options = parser.parse_args()
    with running(options.image, WEB_WORKERS=1) as container:
        await_healthy(container)
        docker("exec", "-i", container, "python", "-", str(options.queues), str(options.actors), stdin=FILL)
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
        scrape(address)  # loads prometheus_client
        redis_cli(container, "CONFIG", "SET", "slowlog-log-slower-than", "100")
        redis_cli(container, "SLOWLOG", "RESET")
        taken = [scrape(address) for _ in range(options.scrapes)]
        blocked = longest_ms(redis_cli(container, "SLOWLOG", "GET", "128"))
    median, slowest = statistics.median(taken), max(taken)
    print(f"{options.queues} queues, {options.actors} actors, {options.scrapes} scrapes:")
    print(f"median {median:.1f} ms, longest {slowest:.1f} ms (goal {GOAL_MS:.0f} ms): {_met(median <= GOAL_MS)}")
    met = _met(blocked <= GOAL_BLOCKED_MS)
    print(f"Redis blocked at most {blocked:.1f} ms at once (goal {GOAL_BLOCKED_MS:.0f} ms): {met}")


def scrape(address: str) -> float:
    """Return how long one scrape takes, in ms."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://{address}:8000/metrics", timeout=30) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


def longest_ms(slow_log: str) -> float:
    """Return the longest command of a slow log: of each entry, the third line is its time in microseconds."""
    lines = slow_log.splitlines()
    starts = [n for n, line in enumerate(lines) if line.isdigit() and n + 2 < len(lines) and lines[n + 1].isdigit()]
    return max((int(lines[n + 2]) for n in starts if lines[n + 2].isdigit()), default=0) / 1000


def _met(reached: bool) -> str:
    return "met" if reached else "missed"


if __name__ == "__main__":
    main()
