"""dramatiq's broker on Redis as Tandem uses it: what sends messages, and what an actor belongs to."""

from __future__ import annotations

import socket
import threading
from functools import cache, partial
from typing import Any
from uuid import uuid4

import dramatiq
import redis
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed
from dramatiq.message import generate_unique_id
from dramatiq.middleware import Callbacks, CurrentMessage, Pipelines, ShutdownNotifications

from app import logs
from app.queueing.activity import Activity
from app.queueing.along import Along, enqueue_arguments, enqueue_keys
from app.queueing.connection import connect
from app.queueing.dead_letters import DeadLetters
from app.queueing.delivery import MAX_DELAY_MS, Delivery
from app.queueing.retries import Retries
from app.queueing.submission import Once, Record
from app.queueing.time_limit import TimeLimit
from app.settings import FAILED_RETENTION, Settings


class Broker(dramatiq.Broker):
    """A broker on Redis. What takes messages off it is the Worker.

    `worker`: the name under which the messages are held that this process has taken. A successor with the same
    name brings back at once what a dead one held; no two living processes may share it.
    `failed_retention`: how long dead letters are kept, in seconds.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        worker: str,
        middleware: list[dramatiq.Middleware],
        failed_retention: int = FAILED_RETENTION,
    ) -> None:
        super().__init__(middleware=middleware)
        self.client = client
        self.worker = worker
        self.delivery = Delivery(client, worker=worker)
        self.dead_letters = DeadLetters(client, self.resent)
        self.failed_retention = failed_retention
        self.activity = next(part for part in middleware if isinstance(part, Activity))
        self.retries = next(part for part in middleware if isinstance(part, Retries))
        self.draining = threading.Event()

    def resent(self, queue: str, ids: list[str]) -> None:
        """Hears of dead letters that were sent again; a worker takes them, so there is nothing to do here."""

    def declare_queue(self, queue_name: str) -> None:
        """Makes a queue known; dramatiq calls it for each actor."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Sends a message, to be handled at once or after `delay` ms; as it was sent is returned.

        A message whose id is in the queue already gets a new one. Raises ValueError for a delay over a week and
        dramatiq's ConnectionClosed when Redis did not take it.
        """
        if delay is not None:
            if not 0 <= delay <= MAX_DELAY_MS:
                raise ValueError(f"a delay of {delay} ms is not allowed: it is from 0 to {MAX_DELAY_MS}")
            message = message.copy(options={"eta": current_millis() + delay})
        self.emit_before("enqueue", message, delay)
        try:
            while not self.delivery.enqueue(message.queue_name, message.message_id, message.encode(), delay):
                message = message.copy(message_id=generate_unique_id())
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        self.emit_after("enqueue", message, delay)
        return message

    def submit(
        self, message: dramatiq.Message[Any], record: Record, *, once: Once | None = None, most_waiting: int
    ) -> str | None:
        """Sends a message and stores its record, both or neither; None when they are stored.

        Otherwise what is remembered under `once` from an earlier time, and nothing is sent. Raises QueueFull, with
        `most_waiting` messages in the queue, and dramatiq's ConnectionClosed.
        """
        self.emit_before("enqueue", message, None)
        try:
            known = self.delivery.submit(
                message.queue_name, message.message_id, message.encode(), record, once, most_waiting
            )
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        if known is None:
            self.emit_after("enqueue", message, None)
        return known

    def along(self, message: dramatiq.Message[Any]) -> Along:
        """The message in the form in which a script of a workload can send it."""
        return Along(
            enqueue_keys(message.queue_name),
            enqueue_arguments(message.queue_name, message.message_id, message.encode()),
            sent=partial(self.sent_along, message),
        )

    def sent_along(self, message: dramatiq.Message[Any]) -> None:
        """Hears of a message that a script may have sent; a worker takes it, so there is nothing to do here."""


def must_pause(reserve: float) -> bool:
    """Whether the message on this thread should raise Continue before it begins a step of at most `reserve` seconds.

    It should when the step could go beyond its time limit, and when its worker is about to leave.
    """
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        return False
    running = broker.activity.current()
    return broker.draining.is_set() or (running is not None and running.seconds + reserve > running.limit)


def is_last_attempt() -> bool:
    """Whether the message on this thread becomes a dead letter if it fails once more."""
    message, broker = CurrentMessage.get_current_message(), dramatiq.get_broker()
    if message is None or not isinstance(broker, Broker):
        return True
    chosen = {**broker.get_actor(message.actor_name).options, **message.options}
    return bool(message.options.get("retries", 0) >= chosen.get("max_retries", broker.retries.max_retries))


def was_resent() -> bool:
    """Whether the message on this thread was a dead letter that `queue failed retry` has sent again."""
    message = CurrentMessage.get_current_message()
    return message is not None and message.options.get("resent", 0) > 0


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
    broker = _class(settings)(
        connect(settings),
        worker=worker_name(),
        middleware=[
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
            # Last, so that its "after" runs first of all: the time limit must not interrupt what follows the actor.
            TimeLimit(time_limit=settings.message_time_limit),
        ],
        failed_retention=settings.failed_retention,
    )
    dramatiq.set_broker(broker)
    return broker


def _class(settings: Settings) -> type[Broker]:
    if settings.queue_transport == "sync":
        from app.queueing.sync import SyncBroker  # imports this module

        return SyncBroker
    return Broker


def installed() -> Broker:
    """The broker of this process."""
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        raise RuntimeError("no broker is installed yet: call install first")
    return broker
