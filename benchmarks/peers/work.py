"""What the messages do, the same for everybody: one command of Redis each, where it is not said otherwise."""

from __future__ import annotations

import os
import time

import redis

URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379")
THREADS = int(os.environ.get("BENCH_THREADS", "8"))
# Of each contender its own, because those that come back from a kill are measured side by side.
PREFIX = f"bench:{os.environ.get('BENCH_NAME', 'ours')}"
DONE, MARKS, NAPS, HELD = (f"{PREFIX}:{what}" for what in ("done", "marks", "naps", "held"))
LONGEST_HOLD = 600

client = redis.Redis.from_url(URL)


def noop() -> None:
    """The message whose number in a second is measured."""
    client.incr(DONE)


def mark(sent: float) -> None:
    """Notes which process took it and how long after `sent`: all processes share the monotonic clock."""
    client.rpush(MARKS, f"{os.getpid()} {time.monotonic() - sent}")


def nap(seconds: float) -> None:
    """Notes its beginning and its end."""
    client.rpush(NAPS, "began")
    time.sleep(seconds)
    client.rpush(NAPS, "ended")


def hold() -> None:
    """Notes who has it and since when; the first time it stays until its process is killed."""
    if client.rpush(HELD, f"{os.getpid()} {time.monotonic()}") == 1:
        time.sleep(LONGEST_HOLD)
