"""Sends alerts to ALERT_WEBHOOK_URL: a JSON object with the sentence in `text`, as Slack and most others accept it."""

from __future__ import annotations

import logging
import queue
import threading

from tandem.config import environment
from tandem.support.backoff import Backoff

logger = logging.getLogger(__name__)

TRIES = 3
BACKOFF = (2.0, 8.0)
# Alerts that wait for a slow receiver; further ones are only logged.
MAX_QUEUE = 100


class AlertSender:
    """Sends in the background, so that the caller never waits for the receiver. Without a URL it does nothing."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[str, dict[str, str]]] = queue.Queue(MAX_QUEUE)
        self._thread: threading.Thread | None = None
        self._url = environment.secret("ALERT_WEBHOOK_URL")

    def send(self, text: str, **details: str) -> None:
        """Post `text` with details such as process and state; both must not contain secrets."""
        if not self._url:
            return
        try:
            self._waiting.put_nowait((text, details))
        except queue.Full:
            logger.error("an alert was not sent, because the receiver is too slow: %s", text)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        from tandem.process import webhook  # only a container that raises an alert loads HTTP

        while True:
            text, details = self._waiting.get()
            backoff = Backoff(*BACKOFF)
            for _ in range(TRIES):
                if webhook.post(self._url, text, details):
                    break
                backoff.wait()
            else:
                logger.error("sending the alert failed %d times: %s", TRIES, text)
