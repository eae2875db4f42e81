"""Runs in the image and prints one number: how many messages one process sends in a second.

Arguments: messages, send | send_many.
"""

from __future__ import annotations

import sys
import time

import dramatiq

from tandem import runtime, send_many
from tandem.broker import keys
from tandem.config import settings

count, variant = int(sys.argv[1]), sys.argv[2]
client = runtime.configure(settings.current()).client


@dramatiq.actor(queue_name="noop")
def noop(_number: int) -> None:
    """Nothing: no worker runs."""


began = time.perf_counter()
if variant == "send":
    for number in range(count):
        noop.send(number)
else:
    send_many(noop, ((number,) for number in range(count)))
print(count / (time.perf_counter() - began))
assert client.llen(keys.ready("noop")) == count  # noqa: S101
client.delete(keys.ready("noop"), keys.payloads("noop"), keys.notify("noop"))
