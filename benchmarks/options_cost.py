#!/usr/bin/env python3
"""Measures what each option of an actor costs: messages that a process sends, and a worker completes, in a second.

All variants take turns in one container; the ratios are those of the same turn.
Usage: benchmarks/options_cost.py [--messages 10000] [--runs 5] [--image tandem-app]
Needs a Docker engine and the image, which bin/up builds. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from harness import IMAGE, await_redis, docker, progress, running

PROGRAM = (Path(__file__).parent / "inside/options.py").read_text()
VARIANTS = ("none", "expires", "unique", "max_concurrency", "concurrency_key", "rate", "rate_key")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image", default=IMAGE)
    options = parser.parse_args()
    sent: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    completed: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    with running(options.image, PROGRAMS="redis") as container:
        await_redis(container)
        for number in range(options.runs):
            for variant in VARIANTS:
                answer = docker("exec", "-i", container, "python", "-", str(options.messages), variant, stdin=PROGRAM)
                for seen, figure in zip((sent, completed), answer.split(), strict=True):
                    seen[variant].append(float(figure))
            progress(f"run {number + 1} of {options.runs}")
    print(f"{'option':<16} {'sent/s':>8} {'of none':>8} {'completed/s':>12} {'of none':>8}")
    for variant in VARIANTS:
        print(
            f"{variant:<16} {statistics.median(sent[variant]):8,.0f} {_ratio(sent, variant):8.2f} "
            f"{statistics.median(completed[variant]):12,.0f} {_ratio(completed, variant):8.2f}"
        )


def _ratio(seen: dict[str, list[float]], variant: str) -> float:
    """Return the median of the ratios to the variant without any option."""
    return statistics.median(with_it / none for with_it, none in zip(seen[variant], seen["none"], strict=True))


if __name__ == "__main__":
    main()
