"""Runs in the image and prints two numbers: how many messages a process sends, and a worker completes, in a second.

Arguments: messages, a name of OPTIONS. 100 different keys; no limit is ever reached.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import dramatiq

from tandem import runtime
from tandem.broker import keys
from tandem.config import settings
from tandem.worker.loop import Worker

MOST = 1_000_000
OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "expires": {"expires": 3_600_000},
    "unique": {"unique": True},
    "max_concurrency": {"max_concurrency": MOST},
    "concurrency_key": {"max_concurrency": MOST, "concurrency_key": lambda key, _number: key},
    "rate": {"rate": "900000000/s"},
    "rate_key": {"rate": "900000000/s", "rate_key": lambda key, _number: key},
}

count, variant = int(sys.argv[1]), sys.argv[2]
broker = runtime.configure(settings.current())
client = broker.client


def noop(_key: str, _number: int) -> None:
    """Does nothing."""


actor: Any = dramatiq.actor(queue_name="noop", **OPTIONS[variant])(noop)
broker.store.size("noop")  # connects
began = time.perf_counter()
for number in range(count):
    actor.send(str(number % 100), number)
print(count / (time.perf_counter() - began))
worker = Worker(broker, queues=("noop",), threads=8)
began = time.perf_counter()
worker.start()
while broker.store.size("noop"):
    time.sleep(0.002)
print(count / (time.perf_counter() - began))
client.delete(*(name("noop") for name in (keys.ready, keys.slots, keys.lanes, keys.notify)))
