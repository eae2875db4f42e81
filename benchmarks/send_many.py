#!/usr/bin/env python3
"""Measures how many messages a process sends in a second, one by one and with send_many, in turn.

Usage: benchmarks/send_many.py [--messages 5000] [--runs 5] [--image tandem-app]
Needs a Docker engine and the image, which bin/up builds. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from harness import IMAGE, await_redis, docker, running

PROGRAM = (Path(__file__).parent / "inside/sending.py").read_text()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image", default=IMAGE)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"send": [], "send_many": []}
    with running(options.image, PROGRAMS="redis") as container:
        await_redis(container)
        for _ in range(options.runs):
            for variant, seen in rates.items():
                arguments = (str(options.messages), variant)
                seen.append(float(docker("exec", "-i", container, "python", "-", *arguments, stdin=PROGRAM)))
    for variant, seen in rates.items():
        print(f"{variant:<10} {statistics.median(seen):8,.0f} messages/s")
    ratios = [many / one for one, many in zip(rates["send"], rates["send_many"], strict=True)]
    print(f"send_many is {statistics.median(ratios):.1f} times as fast (from {min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
