"""Alerts to ALERT_WEBHOOK_URL: a JSON object with the sentence in `text`, as Slack and most others take it."""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from typing import Any

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
TRIES = 3
PAUSE_SECONDS = 2.0
# Alerts that wait for a slow receiver; beyond them the newest is only logged.
LONGEST_QUEUE = 100


class Alerts:
    """Sends in the background: whoever raises an alert never waits for the receiver. Without a URL it does nothing."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(LONGEST_QUEUE)
        self._thread: threading.Thread | None = None

    def send(self, text: str, **details: str) -> None:
        """Posts `text` with details such as process and state; both have to be free of secrets."""
        from app import settings  # only a container that raises an alert pays for it and for httpx

        secret = settings.current().alert_webhook_url
        if secret is None:
            return
        try:
            self._waiting.put_nowait({"text": f"{socket.gethostname()}: {text}", **details})
        except queue.Full:
            logger.error("the alert receiver is too slow, this one was not sent: %s", text)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=[secret.get_secret_value()], daemon=True)
            self._thread.start()

    def _run(self, url: str) -> None:
        while True:
            alert = self._waiting.get()
            for attempt in range(TRIES):
                if _post(url, alert):
                    break
                time.sleep(PAUSE_SECONDS * 2**attempt)
            else:
                logger.error("the alert could not be sent after %d tries: %s", TRIES, alert["text"])


def _post(url: str, alert: dict[str, Any]) -> bool:
    import httpx

    try:
        return httpx.post(url, json=alert, timeout=TIMEOUT, trust_env=False).is_success
    except httpx.HTTPError as error:
        # Not the error's own text: it can name the URL, which is a secret.
        logger.warning("the alert receiver did not take it: %s", type(error).__name__)
        return False
