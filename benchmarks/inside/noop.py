"""Runs in the image and prints one number: how many messages one worker process completes in a second.

Arguments: messages, threads, whole | uncounted (without what ack.lua does for the statistics) | bare (also without
the counts of deliveries and the fencing that stands on them).
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import dramatiq

from tandem import runtime
from tandem.broker import keys
from tandem.config import settings
from tandem.worker.loop import Worker

messages, threads, variant = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
logging.basicConfig(level=logging.WARNING)
broker = runtime.configure(settings.current())
client = broker.client


@dramatiq.actor(queue_name="noop")
def noop(_number: int) -> None:
    """Notes that it ran."""
    client.incr("noop:done")


#: What is left out: of ack.lua for the statistics, of both scripts for deliveries and fencing.
COUNTS = {"if outcome ~= 'snoozed' then": "if false then"}
FENCING = {
    "redis.call('HGET', KEYS[6], id) == ARGV[i + 1] and ": "",
    "  redis.call('HDEL', KEYS[6], id)\n": "",
}
DELIVERIES = {"redis.call('HINCRBY', KEYS[key + 6], id, 1)": "1"}


def without(script: Any, parts: dict[str, str]) -> Any:
    """Returns the script without these parts."""
    text = str(script.script)
    for part, instead in parts.items():
        if part not in text:
            raise SystemExit("ack.lua or claim_batch.lua has changed: adapt what benchmarks/inside/noop.py leaves out")
        text = text.replace(part, instead)
    return client.register_script(text)


store: Any = broker.store
if variant != "whole":
    store._ack = without(store._ack, COUNTS)
if variant == "bare":
    store._ack = without(store._ack, FENCING)
    store._claim_batch = without(store._claim_batch, DELIVERIES)
client.delete("noop:done", keys.ready("noop"), keys.payloads("noop"), keys.deliveries("noop"))
for number in range(messages):
    noop.send(number)
worker = Worker(broker, queues=("noop",), threads=threads)
since = time.perf_counter()
worker.start()
while int(client.get("noop:done") or 0) < messages:
    time.sleep(0.002)
print(messages / (time.perf_counter() - since))
