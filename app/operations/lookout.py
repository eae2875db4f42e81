"""Looks at the container and at the queue every ALERT_INTERVAL seconds, and raises and clears alerts."""

from __future__ import annotations

import logging
import os
import socket
import threading
from functools import partial

import redis

from app import environment
from app.operations import webhook
from app.operations.alarms import SHARED, Thresholds, judge
from app.operations.board import Board, Tell
from app.operations.entries import FileStore, RedisStore, Store
from app.operations.readings import Gatherer
from app.queueing.connection import connect_to

logger = logging.getLogger(__name__)


class Lookout(threading.Thread):
    """Looks for ever, and ends with its process. It needs no farewell: the next one goes on from what is stored."""

    def __init__(self, client: redis.Redis, thresholds: Thresholds, *, interval: float, tell: Tell | None) -> None:
        super().__init__(name="lookout", daemon=True)
        self._interval = interval
        self._thresholds = thresholds
        self._gatherer = Gatherer(client)

        def board(store: Store, *, shared: bool) -> Board:
            return Board(store, me=socket.gethostname(), interval=interval, tell=tell, shared=shared)

        self._own = board(FileStore(), shared=False)
        self._shared = board(RedisStore(client), shared=True)

    @classmethod
    def from_environment(cls) -> Lookout:
        """By what the entrypoint has checked and exported."""
        url = environment.secret("ALERT_WEBHOOK_URL")
        return cls(
            connect_to(environment.redis_url(), decode=True),
            Thresholds.read(os.environ),
            interval=float(os.environ["ALERT_INTERVAL"]),
            tell=partial(webhook.post, url) if url else None,
        )

    def run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._interval):
            try:
                self.look()
            except Exception:
                # Whoever watches the others must not end because of what it saw.
                logger.exception("a look broke")

    def look(self) -> None:
        """One look. While Redis is away the alerts of the queue stay as they are."""
        readings = self._gatherer.look()
        verdicts = judge(readings, self._thresholds)
        self._own.look({name: alarm for name, alarm in verdicts.items() if name not in SHARED})
        if readings.queues is None:
            return  # asking Redis once more would cost one more timeout
        try:
            self._shared.look({name: alarm for name, alarm in verdicts.items() if name in SHARED})
        except redis.RedisError as error:
            logger.debug("the alerts of the queue stay as they are: %s", error)
