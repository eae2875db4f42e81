"""dramatiq's broker on Redis as Tandem uses it."""

from __future__ import annotations

import logging
import socket
import threading
from functools import cache
from typing import Any
from uuid import uuid4

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Callbacks, CurrentMessage, Pipelines, ShutdownNotifications, TimeLimit

from app import logs
from app.queueing.activity import Activity
from app.queueing.budget import Budget
from app.queueing.connection import connect
from app.queueing.consumer import Consumer
from app.queueing.delivery import Delivery
from app.queueing.middleware import LogContext, tells_more_than_the_retry
from app.queueing.retries import Retries
from app.settings import Settings

# How often a running message's time is looked at; dramatiq's own second makes short limits coarse.
TIME_LIMIT_INTERVAL_MS = 250
# dramatiq's own look for messages of lost workers is a draw at each command, and asks Redis for all keys.
NO_MAINTENANCE = 0


class Broker(RedisBroker):
    """A Redis broker whose consumers can drain, and whose identity outlives its process.

    `worker`: the name under which the messages are held that this process has taken. A successor with the same
    name brings back at once what a dead one held; no two living processes may share it.
    """

    def __init__(self, client: redis.Redis, *, worker: str, middleware: list[dramatiq.Middleware]) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            client=client, maintenance_chance=NO_MAINTENANCE, middleware=middleware
        )
        self.broker_id = worker
        self.delivery = Delivery(client, namespace=self.namespace, worker=worker)
        self.activity = next(part for part in middleware if isinstance(part, Activity))
        self.consumers: dict[str, Consumer] = {}
        self.draining = threading.Event()
        self.budget = Budget()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        """The consumer of one queue; it waits as long as it likes. Raises ConnectionClosed."""
        if consumer := self.consumers.get(queue_name):
            try:
                consumer.resume()
            except redis.RedisError as error:
                raise ConnectionClosed(error) from None
        else:
            consumer = self.consumers[queue_name] = Consumer(self, queue_name, prefetch)
        return consumer


def must_pause(reserve: float) -> bool:
    """Whether the message on this thread should raise Continue before it begins a step of at most `reserve` seconds.

    It should when the step could go beyond its time limit, and when its worker is about to leave.
    """
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        return False
    running = broker.activity.current()
    return broker.draining.is_set() or (running is not None and running.seconds + reserve > running.limit)


def worker_name() -> str:
    """The slot of this process: its host and the name under which supervisor runs it, or a name of its own."""
    process = logs.process_name()
    if process == logs.BY_HAND:
        process = f"{process}-{uuid4().hex[:8]}"
    return f"{socket.gethostname()}:{process}"


@cache
def install(settings: Settings) -> Broker:
    """The broker that every actor which is declared from now on belongs to, made once. Connects at the first command.

    dramatiq binds an actor to the broker of the moment when its module is imported, so this comes first.
    """
    broker = Broker(
        connect(settings),
        worker=worker_name(),
        middleware=[
            # The first one's "before" runs first and its "after" last: the log's context spans all others.
            LogContext(),
            Activity(time_limit=settings.message_time_limit),
            ShutdownNotifications(),
            CurrentMessage(),
            Callbacks(),
            Pipelines(),
            Retries(
                max_retries=settings.max_retries,
                delay=settings.retry_delay,
                multiplier=settings.retry_multiplier,
            ),
            # Last, so that its "after" runs first: the time limit must not interrupt the storing of a retry.
            TimeLimit(time_limit=settings.message_time_limit * 1000, interval=TIME_LIMIT_INTERVAL_MS),
        ],
    )
    logging.getLogger("dramatiq.worker.WorkerThread").addFilter(tells_more_than_the_retry)
    dramatiq.set_broker(broker)
    return broker
