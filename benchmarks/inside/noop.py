"""Runs in the image: how many messages one worker process handles in a second. Prints one number.

Arguments: messages, threads, whole | uncounted (without what settle.lua does for the statistics).
"""

from __future__ import annotations

import logging
import sys
import time

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


def without_counts(script: str) -> str:
    """settle.lua as it would be without statistics."""
    changed = script.replace("if outcome ~= 'continued' then", "if false then")
    if changed == script:
        raise SystemExit("settle.lua has changed: this benchmark has to follow")
    return changed


if variant == "uncounted":
    settle = installed.delivery._settle
    installed.delivery._settle = client.register_script(without_counts(str(settle.script)))
client.delete("noop:done", keys.ready("noop"), keys.payloads("noop"), keys.deliveries("noop"))
for number in range(messages):
    noop.send(number)
worker = Worker(installed, queues=("noop",), threads=threads)
since = time.perf_counter()
worker.start()
while int(client.get("noop:done") or 0) < messages:
    time.sleep(0.002)
print(messages / (time.perf_counter() - since))
