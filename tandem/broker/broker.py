"""The dramatiq broker on Redis: actors are declared on it, and it sends messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import dramatiq
import redis
from dramatiq.errors import ActorNotFound, ConnectionClosed
from dramatiq.message import generate_unique_id

from tandem.broker.dead_letter import DeadLetter
from tandem.broker.dead_letters import DeadLetters
from tandem.broker.disk import Disk
from tandem.broker.idempotency import DiskFull, IdempotencyKey, JobRecord
from tandem.broker.in_flight import InFlight
from tandem.broker.outbox import OutboxMessage, enqueue_arguments, enqueue_keys
from tandem.broker.store import MAX_DELAY_MS, MessageStore
from tandem.config.settings import FAILED_RETENTION

logger = logging.getLogger(__name__)

# Clocks that a time server synchronizes differ by less.
CLOCK_TOLERANCE_MS = 500

M = TypeVar("M", bound=dramatiq.Middleware)


@dataclass(frozen=True)
class Binding:
    """The resources of a broker.

    `worker`: the name under which this process claims messages. A restarted worker with the same name requeues at once
    the messages that a dead one had claimed; no two living processes may share it.
    `failed_retention`: how long dead letters are kept, in seconds. `disk`: where the queue is stored, if on this host.
    `inline`: handles a message, by queue and id, in the sending process; without it a worker does.
    """

    client: redis.Redis
    worker: str
    failed_retention: int = FAILED_RETENTION
    disk: Disk | None = None
    inline: Callable[[str, str], None] | None = None


class _Bound(NamedTuple):
    binding: Binding
    store: MessageStore
    dead_letters: DeadLetters


class Broker(dramatiq.Broker):
    """A broker on Redis. The Worker consumes its messages.

    Actors can be declared on it before it is bound to a Redis. `on_first_use` binds it if it is still unbound then.
    """

    def __init__(
        self, *, middleware: list[dramatiq.Middleware], on_first_use: Callable[[], object] | None = None
    ) -> None:
        super().__init__(middleware=middleware)
        self._on_first_use = on_first_use
        self._bound: _Bound | None = None
        self.draining = threading.Event()
        # Set before `draining` if the worker stops because of the memory that its messages use.
        self.over_memory_limit = threading.Event()

    def bind(self, binding: Binding) -> None:
        """Set the broker's resources; its actors stay."""
        if self._bound is None or self._bound.binding is not binding:
            store = MessageStore(binding.client, worker=binding.worker)
            self._bound = _Bound(binding, store, DeadLetters(binding.client, self._handle_requeued, self.removed))

    def _require_bound(self) -> _Bound:
        """Return its resources. Raises RuntimeError if it is not bound."""
        if self._bound is None and self._on_first_use:
            self._on_first_use()
        if self._bound is None:
            raise RuntimeError("the broker is not bound to a Redis: call bind() first")
        return self._bound

    @property
    def binding(self) -> Binding:
        """Its resources."""
        return self._require_bound().binding

    @property
    def client(self) -> redis.Redis:
        """The client of its Redis."""
        return self.binding.client

    @property
    def worker(self) -> str:
        """The name under which this process claims messages."""
        return self.binding.worker

    @property
    def store(self) -> MessageStore:
        """The messages in Redis."""
        return self._require_bound().store

    @property
    def dead_letters(self) -> DeadLetters:
        """The dead letters in Redis."""
        return self._require_bound().dead_letters

    @property
    def in_flight(self) -> InFlight:
        """The messages in flight in this process."""
        return self.middleware_of(InFlight)

    def middleware_of(self, kind: type[M]) -> M:
        """Return the middleware of a class. Raises LookupError if there is none."""
        found = next((part for part in self.middleware if isinstance(part, kind)), None)
        if found is None:
            raise LookupError(f"the broker has no {kind.__name__}")
        return found

    def _handle_requeued(self, queue: str, ids: list[str]) -> None:
        """Handle requeued dead letters inline, if there is no worker."""
        if self.binding.inline:
            for id_ in ids:
                self.binding.inline(queue, id_)

    def _handle_inline(self, message: dramatiq.Message[Any]) -> None:
        """Handle a message inline, if there is no worker. Raises ConnectionClosed."""
        if self.binding.inline:
            try:
                self.binding.inline(message.queue_name, message.message_id)
            except redis.RedisError as error:
                raise ConnectionClosed(error) from error

    def removed(self, letter: DeadLetter) -> None:
        """Call the actor's `on_removed` for a dead letter that was removed for good. Raises redis.RedisError."""
        try:
            actor = self.get_actor(letter.content.actor_name) if letter.content else None
        except ActorNotFound:
            return
        on_removed = actor.options.get("on_removed") if actor else None
        try:
            if on_removed:
                on_removed(letter.content)
        except redis.RedisError:
            raise
        except Exception:
            # A bug in a workload must not keep dead letters from being removed.
            logger.exception("on_removed of %s failed for %s, which is removed nevertheless", letter.actor, letter.id)

    def add_middleware(
        self,
        middleware: dramatiq.Middleware,
        *,
        before: type[dramatiq.Middleware] | None = None,
        after: type[dramatiq.Middleware] | None = None,
    ) -> None:
        """Add a middleware as dramatiq does. Raises TypeError for dramatiq's Retries.

        Both would retry the same failure: ours by the outcome of the message, dramatiq's by sending it a second time.
        """
        if isinstance(middleware, dramatiq.middleware.Retries):
            raise TypeError(
                "dramatiq.middleware.Retries cannot be added, because Tandem already retries and a failure would be "
                "retried twice: remove it; the options of actors and messages are max_retries, retry_delay (ms), "
                "retry_multiplier, throws and on_failed"
            )
        super().add_middleware(middleware, before=before, after=after)

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; dramatiq calls this for each actor."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Send a message, to be handled at once or after `delay` ms; return it as sent.

        A message whose id is already in the queue gets a new one. Raises ValueError for a delay over a week, dramatiq's
        ConnectionClosed if Redis did not accept the message, and DiskFull, but not for a message that an actor sends.
        """
        if self.binding.inline:
            delay = None  # there is no worker to handle it later
        if delay is not None:
            if not 0 <= delay <= MAX_DELAY_MS:
                raise ValueError(f"delay={delay} is invalid: expected 0 to {MAX_DELAY_MS} ms")
            message = message.copy(options={"eta": self.store.clock.now() + delay})
        message = self._by_redis_clock(message)
        if not self.in_flight.running():
            self._require_disk_space()
        self.emit_before("enqueue", message, delay)
        try:
            while not self.store.enqueue(message.queue_name, message.message_id, message.encode(), delay):
                message = message.copy(message_id=generate_unique_id())
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        self.emit_after("enqueue", message, delay)
        self._handle_inline(message)
        return message

    def enqueue_once(
        self,
        message: dramatiq.Message[Any],
        record: JobRecord,
        *,
        once: IdempotencyKey | None = None,
        most_waiting: int,
    ) -> str | None:
        """Send a message and store its record, both or neither; return None if they are stored.

        If the idempotency key `once` exists, return its value and send nothing. Raises QueueFull if `most_waiting`
        messages are in the queue, QuotaExceeded, DiskFull, and dramatiq's ConnectionClosed.
        """
        self._require_disk_space()
        message = self._by_redis_clock(message)
        self.emit_before("enqueue", message, None)
        try:
            known = self.store.enqueue_once(
                message.queue_name, message.message_id, message.encode(), record, once, most_waiting
            )
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        if known is None:
            self.emit_after("enqueue", message, None)
            self._handle_inline(message)
        return known

    def _by_redis_clock(self, message: dramatiq.Message[Any]) -> dramatiq.Message[Any]:
        """Return the message with its timestamp by the clock of Redis, if this host's clock is wrong."""
        offset = self.store.clock.offset()
        if abs(offset) < CLOCK_TOLERANCE_MS:
            return message
        return message.copy(message_timestamp=message.message_timestamp + offset)

    def _require_disk_space(self) -> None:
        """Raise DiskFull. Only for new work: running messages must be able to end, which frees space."""
        disk = self.binding.disk
        if disk and (reason := disk.shortage()):
            raise DiskFull(reason)

    def outbox_message(self, message: dramatiq.Message[Any]) -> OutboxMessage:
        """Return the message in the form in which a workload's script can send it."""
        message = self._by_redis_clock(message)
        return OutboxMessage(
            enqueue_keys(message.queue_name),
            enqueue_arguments(message.queue_name, message.message_id, message.encode()),
            sent=partial(self._handle_inline, message),
        )
