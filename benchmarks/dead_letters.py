#!/usr/bin/env python3
"""Measures what `queue failed` costs with many dead letters: the time of each command, and how long it blocks Redis.

Usage: benchmarks/dead_letters.py [--image tandem-app] [--letters 100000]
Needs a Docker engine and the image, which bin/up builds. Starts a container of its own and removes it.
How long Redis was blocked is what its slow log and its latency monitor say. What another client waited at most is
measured as well, by one PING after the other: that includes the time until a busy machine runs it, so it is measured
first while nothing happens.
Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness import IMAGE, await_, await_healthy, docker, redis_cli, running

GOAL_MS = 50.0
QUIET_SECONDS = 5

# One letter in a thousand is of a rare actor, and those are the oldest: the worst case for a filter.
FILL = """
import json, sys, time
from tandem.broker.connection import connect_to
letters = int(sys.argv[1])
client = connect_to("unix:///run/tandem/redis.sock")
trace = "Traceback:\\n" + '  File "/srv/tandem/app/example.py", line 41, in run\\n    step()\\n' * 7
now = int(time.time() * 1000) - letters
pipeline = client.pipeline(transaction=False)
for number in range(letters):
    queue = ("mail", "reports")[number % 2]
    kind = ("rare" if number < letters // 1000 else "deliver", ("TimeoutError", "ValueError", "OSError")[number % 3])
    id_ = f"00000000-0000-4000-8000-{number:012}"
    attempt = {"at": "2026-11-22T05:12:01.123Z", "worker": "3f1c:worker_00", "error": kind[1], "message": "no answer"}
    options = {"attempts": [attempt] * 4, "attempt_count": 4, "retries": 3, "resent": 0, "traceback": trace,
               "failed_at": "2026-11-22T05:12:01.123Z", "redis_message_id": id_}
    payload = json.dumps({"queue_name": queue, "actor_name": kind[0], "args": [number], "kwargs": {},
                          "options": options, "message_id": id_, "message_timestamp": now}).encode()
    pipeline.zadd(f"dramatiq:{queue}.XQ", {id_: now + number})
    pipeline.hset(f"dramatiq:{queue}.XQ.msgs", id_, payload)
    pipeline.hset(f"dramatiq:{queue}.XQ.kinds", id_, "\\t".join(kind))
    pipeline.hincrby(f"dramatiq:{queue}.XQ.counts", "\\t".join(kind), 1)
    if number % 500 == 499:
        pipeline.execute()
pipeline.sadd("tandem:queues", "mail", "reports")
pipeline.execute()
print(len(payload))
"""

# The longest answer to a PING until the end of stdin, in ms.
WATCH = """
import sys, threading, time
from tandem.broker.connection import connect_to
client = connect_to("unix:///run/tandem/redis.sock")
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
longest = 0.0
client.ping()
print("ready", flush=True)
while not over.wait(0.0005):
    since = time.monotonic()
    client.ping()
    longest = max(longest, time.monotonic() - since)
print(longest * 1000)
"""

# How long a command takes from its start, and how long when everything is imported, in seconds.
TIME = """
import contextlib, io, subprocess, sys, time
words = sys.argv[1:]
since = time.monotonic()
subprocess.run(["queue", *words], check=True, stdout=subprocess.DEVNULL)
whole = time.monotonic() - since
if "--force" in words:
    print(whole, 0)
    sys.exit()
from tandem.cli.main import queue
for _ in range(2):
    with contextlib.redirect_stdout(io.StringIO()):
        since = time.monotonic()
        queue(words, standalone_mode=False)
print(whole, time.monotonic() - since)
"""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--letters", type=int, default=100_000)
    options = parser.parse_args()
    with running(options.image) as container:
        await_healthy(container)
        docker("exec", container, "supervisorctl", "stop", "worker:*")
        size = fill(container, options.letters)
        print(f"{options.letters:,} dead letters in 2 queues, {size} bytes each")
        redis_cli(container, "CONFIG", "SET", "slowlog-log-slower-than", "1000")
        redis_cli(container, "CONFIG", "SET", "latency-monitor-threshold", "1")
        with watching(container) as longest:
            time.sleep(QUIET_SECONDS)
        print(f"nothing for {QUIET_SECONDS} s: longest wait {longest[0]:.1f} ms, the machine's own", flush=True)
        worst = [
            measure(container, "show"),
            measure(container, "show", "--actor", "rare"),
            measure(container, "show", "--stats"),
            measure(container, "retry", "--all", "--force"),
        ]
        expect(container, dead=0, ready=options.letters)
        redis_cli(
            container, "DEL", *(f"dramatiq:{queue}{part}" for queue in ("mail", "reports") for part in ("", ".msgs"))
        )
        fill(container, options.letters)
        worst.append(measure(container, "remove", "--all", "--force"))
        expect(container, dead=0, ready=0)
    outcome = "reached" if max(worst) <= GOAL_MS else "missed"
    print(f"Redis was blocked for {max(worst):.1f} ms at most: the goal of {GOAL_MS:.0f} ms is {outcome}")


def fill(container: str, letters: int) -> int:
    """Writes the dead letters and waits until Redis has rewritten its file; returns the size of a payload in bytes."""
    size = int(docker("exec", "-i", container, "python", "-", str(letters), stdin=FILL))
    await_(
        lambda: "aof_rewrite_in_progress:0" in redis_cli(container, "INFO", "persistence"), "the rewrite of the file"
    )
    return size


def measure(container: str, *words: str) -> float:
    """Runs one command and prints its times; returns for how long (ms) Redis was blocked at most."""
    redis_cli(container, "SLOWLOG", "RESET")
    redis_cli(container, "LATENCY", "RESET")
    with watching(container) as longest:
        output = docker("exec", "-i", container, "python", "-", "failed", *words, stdin=TIME)
    whole, inside = map(float, output.split())
    times = f"{whole:6.2f} s" + (f", {inside:5.3f} s without the start of Python" if inside else "")
    print(f"failed {' '.join(words):<22} {times}", flush=True)
    blocked = blockings(container)
    listed = ", ".join(f"{name} {most:.1f} ms" for name, most in blocked.items())
    print(f"    blocked by {listed}; longest wait {longest[0]:.1f} ms", flush=True)
    return max(blocked.values())


@contextmanager
def watching(container: str) -> Iterator[list[float]]:
    """Gives a list that gets the longest wait for Redis within the block, in ms."""
    watch = subprocess.Popen(  # noqa: S603
        ["docker", "exec", "-i", container, "python", "-c", WATCH],  # noqa: S607
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout  # noqa: S101
    watch.stdout.readline()
    longest: list[float] = []
    yield longest
    output, _ = watch.communicate()
    longest.append(float(output))


def blockings(container: str) -> dict[str, float]:
    """Returns what blocked Redis itself for longest since the last reset, in ms."""
    events = redis_cli(container, "LATENCY", "LATEST").split()
    # Four lines for each event: its name, when it was, the last and the longest time in ms.
    longest = {name: float(most) for name, most in zip(events[::4], events[3::4], strict=True)}
    command = int(redis_cli(container, "EVAL", SLOWEST, "0")) / 1000
    return {"a command": command} | {name: longest[name] for name in ("fork", "aof-write") if name in longest}


# Microseconds of the longest command in the slow log.
SLOWEST = """
local longest = 0
for _, entry in ipairs(redis.call('SLOWLOG', 'GET', '-1')) do
  longest = math.max(longest, entry[3])
end
return longest
"""


def expect(container: str, *, dead: int, ready: int) -> None:
    """Fails when the queues do not have so many."""
    seen = [
        sum(int(redis_cli(container, *word.split(), f"dramatiq:{queue}{part}")) for queue in ("mail", "reports"))
        for word, part in (("ZCARD", ".XQ"), ("LLEN", ""))
    ]
    if seen != [dead, ready]:
        raise SystemExit(f"{seen[0]} are dead and {seen[1]} ready instead of {dead} and {ready}")


if __name__ == "__main__":
    main()
