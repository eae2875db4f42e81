"""Alerts to ALERT_WEBHOOK_URL: a JSON object with the sentence in `text`, as Slack and most others take it."""

from __future__ import annotations

import logging
import queue
import threading
import time

from app import environment

logger = logging.getLogger(__name__)

TRIES = 3
PAUSE_SECONDS = 2.0
# Alerts that wait for a slow receiver; beyond them the newest is only logged.
LONGEST_QUEUE = 100


class Alerts:
    """Sends in the background: whoever raises an alert never waits for the receiver. Without a URL it does nothing."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[str, dict[str, str]]] = queue.Queue(LONGEST_QUEUE)
        self._thread: threading.Thread | None = None
        self._url = environment.secret("ALERT_WEBHOOK_URL")

    def send(self, text: str, **details: str) -> None:
        """Posts `text` with details such as process and state; both have to be free of secrets."""
        if not self._url:
            return
        try:
            self._waiting.put_nowait((text, details))
        except queue.Full:
            logger.error("the alert receiver is too slow, this one was not sent: %s", text)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        from app.operations import webhook  # only a container that raises an alert pays for HTTP

        while True:
            text, details = self._waiting.get()
            for attempt in range(TRIES):
                if webhook.post(self._url, text, details):
                    break
                time.sleep(PAUSE_SECONDS * 2**attempt)
            else:
                logger.error("the alert could not be sent after %d tries: %s", TRIES, text)
