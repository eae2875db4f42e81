#!/usr/bin/env python3
"""Size, start, memory, stop and rebuild of the container, each measured on the real image.

Usage: benchmarks/container.py [--image tandem-app] [--runs 5]
Needs a Docker engine and the image, which bin/up builds. Starts and removes containers of its own, one at a time.
Prints medians over the runs. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIKE_COMPOSE = ["--read-only", "--tmpfs", "/run", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
HEALTHY_WITHIN = 60
SETTLE_SECONDS = 20
MIB = 2**20


def docker(*arguments: str) -> str:
    """Output of a docker command that has to succeed."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603, S607


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="tandem-app")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print_size(options.image)
    starts: list[float] = []
    stops: list[float] = []
    memory: list[float] = []
    for _ in range(options.runs):
        container, seconds = start(options.image)
        starts.append(seconds)
        if not memory:
            time.sleep(SETTLE_SECONDS)  # what is measured is the idle container, after its first health checks
            docker("exec", container, "supervisorctl", "stop", "prepare")  # it waits for a model, and here is none
        memory.append(memory_without_cache(container))
        stops.append(stop(container))
    print(f"docker run to healthy   {statistics.median(starts):6.2f} s   (from {min(starts):.2f} to {max(starts):.2f})")
    print(f"docker stop, idle       {statistics.median(stops):6.2f} s   (from {min(stops):.2f} to {max(stops):.2f})")
    print(f"memory, idle            {memory[0]:6.1f} MiB without cache, 2 web and 2 worker processes")
    print(f"rebuild after a change  {rebuild(options.image):6.2f} s   (a comment added in app/)")


def print_size(image: str) -> None:
    """The image's size and what makes it up, layer by layer, largest first."""
    total = json.loads(docker("image", "inspect", image))[0]["Size"]
    print(f"image                   {total / 1e6:6.1f} MB")
    layers = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", image)
    rows = [line for line in layers.splitlines() if "\t" in line]
    for line in sorted(rows, key=lambda line: -int(line.split("\t")[0])):
        size, made_by = line.split("\t", 1)
        if int(size) > 100_000:
            print(f"  {int(size) / 1e6:6.1f} MB  {' '.join(made_by.split())[:90]}")


def start(image: str) -> tuple[str, float]:
    """Starts a container; its id and the seconds until Docker calls it healthy."""
    since = time.monotonic()
    container = docker("run", "--detach", *LIKE_COMPOSE, image)
    while time.monotonic() - since < HEALTHY_WITHIN:
        if docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy":
            return container, time.monotonic() - since
        time.sleep(0.02)
    raise SystemExit(f"not healthy within {HEALTHY_WITHIN} s: docker logs {container}")


def memory_without_cache(container: str) -> float:
    """MiB of the container's control group less the page cache (cgroup v1 and v2)."""
    v1 = Path("/sys/fs/cgroup/memory/docker", container, "memory.stat")
    v2 = Path("/sys/fs/cgroup/system.slice", f"docker-{container}.scope", "memory.stat")
    path, key = (v1, "total_rss") if v1.exists() else (v2, "anon")
    values = dict(line.split() for line in path.read_text().splitlines())
    return int(values[key]) / MIB


def stop(container: str) -> float:
    """Seconds that `docker stop` takes; removes the container. Fails when something had to be killed."""
    since = time.monotonic()
    docker("stop", "--time", "60", container)
    seconds = time.monotonic() - since
    code = docker("inspect", "--format", "{{.State.ExitCode}}", container)
    docker("rm", "--volumes", container)
    if code != "0":
        raise SystemExit(f"the container left with {code} instead of 0")
    return seconds


def rebuild(image: str) -> float:
    """Seconds of `docker build` after a change in app/; the file and the tag are put back as they were."""
    changed = ROOT / "app" / "workloads.py"
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
