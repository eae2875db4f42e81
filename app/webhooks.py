"""A second, small workload in one file: notify another system of an event.

from app.webhooks import deliver
deliver.send("https://example.org/hook", {"id": "7", "type": "invoice.paid"})
"""

from __future__ import annotations

import json
from typing import Any

import dramatiq

from tandem import Destinations, Workload, safe_http

ANYWHERE = Destinations(private=True, own=True)


# Retried after 5 s, 10 s, 20 s and so on, for 43 minutes in all.
@dramatiq.actor(queue_name="webhooks", max_retries=9, retry_delay=5000)
def deliver(url: str, event: dict[str, Any]) -> None:
    """Post an event as JSON. It can arrive twice, so give it an id by which the receiver recognizes it."""
    # The URLs come from the application itself: they may lead to private networks and to this host.
    safe_http.post(url, json.dumps(event).encode(), {"Content-Type": "application/json"}, ANYWHERE)


workload = Workload(name="webhooks")
