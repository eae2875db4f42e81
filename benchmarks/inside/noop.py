"""Runs in the image: how many messages one worker process handles in a second. Prints one number.

Arguments: messages, threads, whole | uncounted (without what settle.lua does for the statistics) | bare (also without
the counts of deliveries and the fencing that stands on them).
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import dramatiq

from app import settings
from app.queueing import broker, keys
from app.queueing.worker import Worker

messages, threads, variant = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
logging.basicConfig(level=logging.WARNING)
installed = broker.install(settings.current())
client = installed.client


@dramatiq.actor(queue_name="noop")
def noop(_number: int) -> None:
    """Notes that it ran."""
    client.incr("noop:done")


#: What is left out: of settle.lua for the statistics, of both scripts for deliveries and fencing.
COUNTS = {"if outcome ~= 'continued' then": "if false then"}
FENCING = {
    "redis.call('HGET', KEYS[6], id) == ARGV[i + 1] and ": "",
    "  redis.call('HDEL', KEYS[6], id)\n": "",
}
DELIVERIES = {"redis.call('HINCRBY', KEYS[key + 6], id, 1)": "1"}


def without(script: Any, parts: dict[str, str]) -> Any:
    """The script as it would be without these parts."""
    text = str(script.script)
    for part, instead in parts.items():
        if part not in text:
            raise SystemExit("settle.lua or fetch.lua has changed: this benchmark has to follow")
        text = text.replace(part, instead)
    return client.register_script(text)


delivery: Any = installed.delivery
if variant != "whole":
    delivery._settle = without(delivery._settle, COUNTS)
if variant == "bare":
    delivery._settle = without(delivery._settle, FENCING)
    delivery._fetch = without(delivery._fetch, DELIVERIES)
client.delete("noop:done", keys.ready("noop"), keys.payloads("noop"), keys.deliveries("noop"))
for number in range(messages):
    noop.send(number)
worker = Worker(installed, queues=("noop",), threads=threads)
since = time.perf_counter()
worker.start()
while int(client.get("noop:done") or 0) < messages:
    time.sleep(0.002)
print(messages / (time.perf_counter() - since))
