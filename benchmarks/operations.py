#!/usr/bin/env python3
"""Measures the operations page with many dead letters: how long each view takes, and how long it blocks Redis.

Usage: benchmarks/operations.py [--image tandem-app] [--letters 100000] [--times 7]
Needs a Docker engine and the image, which bin/up builds. Starts a container of its own and removes it. How long Redis
was blocked is the longest command in its slow log. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import statistics
import time
import urllib.request

from dead_letters import FILL
from harness import IMAGE, await_healthy, docker, redis_cli, running
from metrics import longest_ms

GOAL_MS, GOAL_BLOCKED_MS = 300.0, 10.0
TOKEN = "operator-token-0123456789"  # noqa: S105
#: Views, the worst cases among them: the rare actor is that of the oldest letters, and a text that nobody has.
VIEWS = {
    "overview": "/ops",
    "failed": "/ops/messages?state=failed",
    "failed, of a rare actor": "/ops/messages?state=failed&actor=rare",
    "failed, with a text": "/ops/messages?state=failed&text=00000042",
    "failed, with a text that nobody has": "/ops/messages?state=failed&text=~nobody",
    "failures by kind": "/ops/failures",
    "one message": "/ops/message?id=00000000-0000-4000-8000-000000000042",
    "handled": "/ops/messages?state=handled",
    "log": "/ops/log",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--letters", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    limits = {"OPS_TOKEN": TOKEN, "WEB_WORKERS": 1, "REDIS_MAXMEMORY": "900M"}
    with running(options.image, options=("--read-only", "--tmpfs", "/run", "--tmpfs", "/tmp"), **limits) as container:  # noqa: S108
        await_healthy(container)
        size = docker("exec", "-i", container, "python", "-", str(options.letters), stdin=FILL)
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
        print(f"{options.letters:,} dead letters of {size} bytes\n")
        redis_cli(container, "CONFIG", "SET", "slowlog-log-slower-than", "500")
        print("| view | median | longest | Redis blocked at most |")
        print("| --- | ---: | ---: | ---: |")
        for name, path in VIEWS.items():
            show(address, path)
            redis_cli(container, "SLOWLOG", "RESET")
            taken = [show(address, path) for _ in range(options.times)]
            blocked = longest_ms(redis_cli(container, "SLOWLOG", "GET", "128"))
            missed = " **missed**" if statistics.median(taken) > GOAL_MS or blocked > GOAL_BLOCKED_MS else ""
            print(f"| {name}{missed} | {statistics.median(taken):.0f} ms | {max(taken):.0f} ms | {blocked:.1f} ms |")
    print(f"\ngoals: {GOAL_MS:.0f} ms, and {GOAL_BLOCKED_MS:.0f} ms")


def show(address: str, path: str) -> float:
    """Return how long a view takes, in ms."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(f"http://{address}:8000{path}", headers=headers)
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        answer.read()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
