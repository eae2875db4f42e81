#!/usr/bin/env python3
"""What statistics, fencing and delivery counts cost: throughput of one worker process with and without them, in turn.

Usage: benchmarks/statistics_cost.py [--messages 20000] [--runs 5] [--image tandem:test]
Needs a Docker engine and the image tandem:test, which `bin/test integration` builds. Python 3.11 or newer, no other
packages.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from pathlib import Path

LONGEST = 60.0
PROGRAM = (Path(__file__).parent / "inside/noop.py").read_text()


def docker(*arguments: str, text: str | None = None) -> str:
    """Output of a docker command that has to succeed."""
    done = subprocess.run(["docker", *arguments], input=text, check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image", default="tandem:test")
    options = parser.parse_args()
    container = docker("run", "--detach", "--no-healthcheck", "--env=PROGRAMS=redis", options.image)
    rates: dict[str, list[float]] = {"bare": [], "uncounted": [], "whole": []}
    try:
        await_redis(container)
        for number in range(options.runs):
            for variant, seen in rates.items():
                arguments = (str(options.messages), "8", variant)
                seen.append(float(docker("exec", "-i", container, "python", "-", *arguments, text=PROGRAM)))
                print(f"run {number + 1}  {variant:<10} {seen[-1]:7.0f} messages/s", flush=True)
    finally:
        docker("rm", "--force", "--volumes", container)
    median = {variant: statistics.median(seen) for variant, seen in rates.items()}
    print(f"with statistics {median['whole'] / median['uncounted']:.1%} of the throughput without")
    print(f"with statistics, fencing and delivery counts {median['whole'] / median['bare']:.1%} of that without them")


def await_redis(container: str) -> None:
    """Waits until it answers."""
    ping = ["docker", "exec", container, "redis-cli", "-s", "/run/tandem/redis.sock", "PING"]
    deadline = time.monotonic() + LONGEST
    while subprocess.run(ping, capture_output=True).returncode:  # noqa: S603
        if time.monotonic() > deadline:
            raise SystemExit(f"Redis does not answer within {LONGEST:.0f} s")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
