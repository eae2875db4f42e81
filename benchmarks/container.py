#!/usr/bin/env python3
"""Measures size, start, memory, idle processor time, stop and rebuild of the container on the real image.

Usage: benchmarks/container.py [--image tandem-app] [--runs 5]
Needs a Docker engine and the image, which bin/up builds. Starts and removes containers of its own, one at a time.
Prints medians over the runs. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from harness import IMAGE, ROOT, await_healthy, cpu_seconds, docker, memory_mib, start

#: Until an idle container has run its first health checks.
SETTLE_SECONDS = 20
#: Eight health checks, which Docker runs every 15 seconds.
IDLE_SECONDS = 120


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print_size(options.image)
    starts: list[float] = []
    stops: list[float] = []
    memory: list[float] = []
    idle = 0.0
    for _ in range(options.runs):
        container, seconds = start_healthy(options.image)
        starts.append(seconds)
        if not memory:
            time.sleep(SETTLE_SECONDS)
            # A workload may still prepare something, and wait for a service that is not there.
            docker("exec", container, "supervisorctl", "stop", "init")
            memory.append(memory_mib(container))
            before = cpu_seconds(container)
            time.sleep(IDLE_SECONDS)
            idle = (cpu_seconds(container) - before) / IDLE_SECONDS
        stops.append(stop(container))
    print(f"docker run to healthy   {statistics.median(starts):6.2f} s   (from {min(starts):.2f} to {max(starts):.2f})")
    print(f"docker stop, idle       {statistics.median(stops):6.2f} s   (from {min(stops):.2f} to {max(stops):.2f})")
    print(f"memory, idle            {memory[0]:6.1f} MiB without cache, 2 web and 2 worker processes")
    print(f"processor time, idle    {idle:6.1%} of one core, health checks included")
    print(f"rebuild after a change  {rebuild(options.image):6.2f} s   (a comment added in app/)")


def print_size(image: str) -> None:
    """Prints the image's size and what makes it up, layer by layer, largest first."""
    total = json.loads(docker("image", "inspect", image))[0]["Size"]
    print(f"image                   {total / 1e6:6.1f} MB")
    layers = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", image)
    rows = [line for line in layers.splitlines() if "\t" in line]
    for line in sorted(rows, key=lambda line: -int(line.split("\t")[0])):
        size, made_by = line.split("\t", 1)
        if int(size) > 100_000:
            print(f"  {int(size) / 1e6:6.1f} MB  {' '.join(made_by.split())[:90]}")


def start_healthy(image: str) -> tuple[str, float]:
    """Starts a container; returns its id and the seconds until Docker calls it healthy."""
    since = time.monotonic()
    container = start(image)
    await_healthy(container, pause=0.02)
    return container, time.monotonic() - since


def stop(container: str) -> float:
    """Returns the seconds that `docker stop` takes; removes the container. Fails when something had to be killed."""
    since = time.monotonic()
    docker("stop", "--time", "60", container)
    seconds = time.monotonic() - since
    code = docker("inspect", "--format", "{{.State.ExitCode}}", container)
    docker("rm", "--volumes", container)
    if code != "0":
        raise SystemExit(f"the container left with {code} instead of 0")
    return seconds


def rebuild(image: str) -> float:
    """Returns the seconds of `docker build` after a change in app/; puts the file and the tags back as they were."""
    changed = ROOT / "app" / "__init__.py"
    before = changed.read_bytes()
    try:
        changed.write_bytes(before + b"# changed by benchmarks/container.py\n")
        since = time.monotonic()
        docker("build", "--quiet", "--tag", f"{image.split(':')[0]}:rebuilt", str(ROOT))
        return time.monotonic() - since
    finally:
        changed.write_bytes(before)
        docker("image", "rm", f"{image.split(':')[0]}:rebuilt")


if __name__ == "__main__":
    main()
