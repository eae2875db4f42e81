"""What the messages do, the same for everybody: one command of Redis each, unless the docstring says otherwise."""

from __future__ import annotations

import os
import time
from typing import Any

import redis

URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379")
THREADS = int(os.environ.get("BENCH_THREADS", "8"))
# Each contender has its own: recovery from a kill is measured of all at the same time.
PREFIX = f"bench:{os.environ.get('BENCH_NAME', 'ours')}"
DONE, MARKS, NAPS, HELD = (f"{PREFIX}:{what}" for what in ("done", "marks", "naps", "held"))
MAX_HOLD = 600

client: Any = redis.Redis.from_url(URL)


def noop() -> None:
    """Counts itself: how many of these are completed in a second is measured."""
    client.incr(DONE)


def mark(sent: float) -> None:
    """Notes which process handles it and how long after `sent`: all processes share the monotonic clock."""
    client.rpush(MARKS, f"{os.getpid()} {time.monotonic() - sent}")


def nap(seconds: float) -> None:
    """Notes its beginning and its end."""
    client.rpush(NAPS, "began")
    time.sleep(seconds)
    client.rpush(NAPS, "ended")


def hold() -> None:
    """Notes which process has it and since when; the first delivery lasts until its process is killed."""
    if client.rpush(HELD, f"{os.getpid()} {time.monotonic()}") == 1:
        time.sleep(MAX_HOLD)
