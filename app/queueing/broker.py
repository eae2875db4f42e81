"""dramatiq's broker on Redis as Tandem uses it."""

from __future__ import annotations

from functools import cache

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Callbacks, CurrentMessage, Pipelines, ShutdownNotifications, TimeLimit

from app.queueing.connection import connect
from app.queueing.middleware import LogContext
from app.queueing.retries import Retries
from app.settings import Settings

# How often a running message's time is looked at; dramatiq's own second makes short limits coarse.
TIME_LIMIT_INTERVAL_MS = 250
# One command in so many looks for messages of lost workers. dramatiq's own 1000 leaves them for minutes.
MAINTENANCE_PER_MILLION = 50_000


@cache
def install(settings: Settings) -> RedisBroker:
    """The broker that every actor which is declared from now on belongs to, made once. Connects at the first command.

    dramatiq binds an actor to the broker of the moment when its module is imported, so this comes first.
    """
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=connect(settings),
        maintenance_chance=MAINTENANCE_PER_MILLION,
        middleware=[
            # The first one's "before" runs first and its "after" last: the log's context spans all others.
            LogContext(),
            TimeLimit(time_limit=settings.message_time_limit * 1000, interval=TIME_LIMIT_INTERVAL_MS),
            ShutdownNotifications(),
            CurrentMessage(),
            Callbacks(),
            Pipelines(),
            Retries(
                max_retries=settings.max_retries,
                delay=settings.retry_delay,
                multiplier=settings.retry_multiplier,
            ),
        ],
    )
    dramatiq.set_broker(broker)
    return broker
