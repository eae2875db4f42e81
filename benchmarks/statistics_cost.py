#!/usr/bin/env python3
"""Measures what statistics, fencing and delivery counts cost: throughput of one worker process with and without them.

Usage: benchmarks/statistics_cost.py [--messages 20000] [--runs 5] [--image tandem-app]
Needs a Docker engine and the image, which bin/up builds. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from harness import IMAGE, await_redis, docker, running

PROGRAM = (Path(__file__).parent / "inside/noop.py").read_text()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image", default=IMAGE)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"bare": [], "uncounted": [], "whole": []}
    with running(options.image, PROGRAMS="redis") as container:
        await_redis(container)
        for number in range(options.runs):
            for variant, seen in rates.items():
                arguments = (str(options.messages), "8", variant)
                seen.append(float(docker("exec", "-i", container, "python", "-", *arguments, stdin=PROGRAM)))
                print(f"run {number + 1}  {variant:<10} {seen[-1]:7.0f} messages/s", flush=True)
    median = {variant: statistics.median(seen) for variant, seen in rates.items()}
    print(f"with statistics {median['whole'] / median['uncounted']:.1%} of the throughput without")
    print(f"with statistics, fencing and delivery counts {median['whole'] / median['bare']:.1%} of that without them")


if __name__ == "__main__":
    main()
