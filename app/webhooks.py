"""A second, small workload, and the whole of it: tells another system about an event.

from app.webhooks import deliver
deliver.send("https://example.org/hook", {"id": "7", "type": "invoice.paid"})
"""

from __future__ import annotations

from typing import Any

import dramatiq

from app.queueing.errors import ExpectedError, PermanentError
from app.queueing.workload import Workload

TIMEOUT = 10.0
#: The receiver is slow, busy or broken; any other refusal would be the same the next time.
WORTH_A_RETRY = {408, 425, 429, *range(500, 600)}


# Tried again after 5 s, 10 s, 20 s and so on: for 43 minutes in all.
@dramatiq.actor(queue_name="webhooks", max_retries=9, retry_delay=5000)
def deliver(url: str, event: dict[str, Any]) -> None:
    """Posts an event as JSON. It can arrive twice, so give it an id by which the receiver knows it."""
    import httpx  # not needed by the processes that only send

    try:
        # What the receiver has to say is not read: it can be of any length.
        with httpx.stream("POST", url, json=event, timeout=TIMEOUT, trust_env=False) as answer:
            status = answer.status_code
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise PermanentError(f"this is no URL of a receiver: {error}") from error
    except httpx.HTTPError as error:
        raise ExpectedError(f"the receiver does not answer: {error or type(error).__name__}") from error
    if status in WORTH_A_RETRY:
        raise ExpectedError(f"the receiver answers with {status}")
    if status >= 300:
        raise PermanentError(f"the receiver refuses it with {status}")


webhooks = Workload(name="webhooks")
