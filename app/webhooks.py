"""A second, small workload, and the whole of it: tells another system about an event.

from app.webhooks import deliver
deliver.send("https://example.org/hook", {"id": "7", "type": "invoice.paid"})
"""

from __future__ import annotations

import json
from typing import Any

import dramatiq

from app import outbound
from app.queueing.workload import Workload


# Tried again after 5 s, 10 s, 20 s and so on: for 43 minutes in all.
@dramatiq.actor(queue_name="webhooks", max_retries=9, retry_delay=5000)
def deliver(url: str, event: dict[str, Any]) -> None:
    """Posts an event as JSON. It can arrive twice, so give it an id by which the receiver knows it."""
    # The URLs are the application's own: they may lead to a neighbour.
    outbound.post(url, json.dumps(event).encode(), {"Content-Type": "application/json"}, private=True)


webhooks = Workload(name="webhooks")
