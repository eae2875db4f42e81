"""Checks the container and the queue every ALERT_INTERVAL seconds, and raises and clears alerts."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from functools import partial

import redis

from tandem.broker import connection
from tandem.broker.connection import connect_to
from tandem.config import environment
from tandem.monitor.alert_manager import AlertManager, Notify
from tandem.monitor.alert_rules import SHARED, Thresholds, evaluate
from tandem.monitor.collector import Collector
from tandem.monitor.schedule_watch import ScheduleWatch
from tandem.operate.alert_entries import FileStore, RedisStore, Store
from tandem.process import webhook
from tandem.schedules.store import ScheduleStore
from tandem.support.periodic import Periodic

logger = logging.getLogger(__name__)


class AlertLoop:
    """Checks as long as the process runs. It needs no shutdown: the next process continues from the stored state."""

    def __init__(
        self,
        client: redis.Redis,
        thresholds: Thresholds,
        *,
        interval: float,
        notify: Notify | None,
        schedules: ScheduleWatch | None = None,
    ) -> None:
        self._interval = interval
        self._thresholds = thresholds
        self._collector = Collector(client, schedules)

        def alert_manager(store: Store, now: Callable[[], float], *, shared: bool) -> AlertManager:
            host = socket.gethostname()
            return AlertManager(store, host=host, interval=interval, notify=notify, shared=shared, now=now)

        self._own = alert_manager(FileStore(), time.time, shared=False)
        self._shared = alert_manager(RedisStore(client), partial(connection.clock, client), shared=True)

    @classmethod
    def from_environment(cls) -> AlertLoop:
        """Create the loop from the variables that the entrypoint has checked and exported."""
        url = environment.secret("ALERT_WEBHOOK_URL")
        return cls(
            connect_to(environment.redis_url(), decode=True),
            Thresholds.from_environment(os.environ),
            interval=float(os.environ["ALERT_INTERVAL"]),
            notify=partial(webhook.post, url) if url else None,
            schedules=ScheduleWatch(ScheduleStore(connect_to(environment.redis_url()))),
        )

    def start(self) -> None:
        """Start to check."""
        self._periodic = Periodic("alert check", self.check, self._interval)
        self._periodic.start()

    def stop(self) -> None:
        """Let the check that runs be the last one."""
        self._periodic.stop()
        self._periodic.join()

    def check(self) -> None:
        """Check once. While Redis is unavailable, the alerts of the queue stay unchanged."""
        snapshot = self._collector.collect()
        evaluated = evaluate(snapshot, self._thresholds)
        self._own.update({name: alert for name, alert in evaluated.items() if name not in SHARED})
        if snapshot.queues is None:
            return  # another query of Redis would cost another timeout
        try:
            self._shared.update({name: alert for name, alert in evaluated.items() if name in SHARED})
        except redis.RedisError as error:
            logger.debug("the alerts of the queue stay unchanged: %s", error)
