"""The dramatiq broker on Redis: actors are declared on it, and it sends messages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import dramatiq
import redis
from dramatiq.errors import ActorNotFound, ConnectionClosed, QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import TimeLimit

from tandem.broker import limits
from tandem.broker.batches import Pair, another_id, enqueue_in_batches
from tandem.broker.dead_letter import DeadLetter
from tandem.broker.dead_letters import DeadLetters
from tandem.broker.disk import Disk
from tandem.broker.hooks import HookedBroker
from tandem.broker.idempotency import DiskFull, IdempotencyKey, JobRecord
from tandem.broker.in_flight import InFlight
from tandem.broker.outbox import OutboxMessage, enqueue_arguments, enqueue_keys
from tandem.broker.relayed import Relayed, RelayedMessages, UnitOfWork, relayed
from tandem.broker.send_many import send_many
from tandem.broker.store import MAX_DELAY_MS, MessageStore
from tandem.broker.telemetry import Reporter, Tracing
from tandem.broker.unique import DuplicateMessage, Unique, unique_of
from tandem.config.settings import FAILED_RETENTION

logger = logging.getLogger(__name__)

# Clocks that a time server synchronizes differ by less.
CLOCK_TOLERANCE_MS = 500
# How often `join` looks (seconds).
JOIN_INTERVAL = 0.02

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


class _CheckedLater(set[str]):
    """The options that middleware knows. A decorator of an actor finds none missing.

    The workloads' own middleware is added after their modules, with their actors, were imported; the registry checks
    the options when all is loaded (tandem/registry/actors.py).
    """

    def __rsub__(self, other: object) -> set[str]:
        """Return what `@dramatiq.actor` takes for unknown options."""
        return set()


def _check_delay(delay: int | None) -> None:
    if delay is not None and not 0 <= delay <= MAX_DELAY_MS:
        raise ValueError(f"delay={delay} is invalid: expected 0 to {MAX_DELAY_MS} ms")


class Broker(HookedBroker):
    """A broker on Redis. The Worker consumes its messages.

    Actors can be declared on it before it is bound to a Redis. `on_first_use` binds it if it is still unbound then.
    """

    actor_options: set[str]

    def __init__(
        self, *, middleware: list[dramatiq.Middleware], on_first_use: Callable[[], object] | None = None
    ) -> None:
        super().__init__()
        self.actor_options = _CheckedLater()
        for part in middleware:
            HookedBroker.add_middleware(self, part)
        self._on_first_use = on_first_use
        self._bound: _Bound | None = None
        self._relayed_messages: RelayedMessages | None = None
        # What each thread sends together.
        self._pending = threading.local()
        # What runs actors and keeps what they send, if a workload has a database.
        self.unit_of_work: UnitOfWork | None = None
        # Who hears of messages, by the settings.
        self.tracing: Tracing | None = None
        self.reporter: Reporter | None = None
        # The workloads whose middleware it has.
        self.middleware_added: set[str] = set()
        self.draining = threading.Event()
        # Set before `draining` if the worker stops because of the memory that its messages use.
        self.over_memory_limit = threading.Event()

    def bind(self, binding: Binding) -> None:
        """Set the broker's resources; its actors stay."""
        if self._bound is None or self._bound.binding is not binding:
            store = MessageStore(binding.client, worker=binding.worker)
            self._relayed_messages = None
            self._bound = _Bound(binding, store, DeadLetters(binding.client, self._handle_requeued, self.removed))

    def unbind(self) -> None:
        """Forget the resources, for a test after which the process gets others."""
        self._bound = None

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

    def _handle_inline(self, message: dramatiq.Message[Any], id_: str | None = None) -> None:
        """Handle a message inline, if there is no worker; `id_`: in the queue. Raises ConnectionClosed."""
        if self.binding.inline:
            try:
                self.binding.inline(message.queue_name, id_ or message.message_id)
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
        Without `before` and `after` it comes last but for the time limit, which must not interrupt its hooks.
        """
        if isinstance(middleware, dramatiq.middleware.Retries):
            raise TypeError(
                "dramatiq.middleware.Retries cannot be added, because Tandem already retries and a failure would be "
                "retried twice: remove it; its options (max_retries, min_backoff, max_backoff, retry_when, throws, "
                "on_retry_exhausted) are known without it, and MAX_RETRIES and RETRY_DELAY set the defaults"
            )
        if not (before or after) and any(isinstance(part, TimeLimit) for part in self.middleware):
            before = TimeLimit
        super().add_middleware(middleware, before=before, after=after)

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the hooks before something. Raises RuntimeError when dramatiq's own worker starts on this broker."""
        if signal == "worker_boot" and isinstance(args[0], dramatiq.Worker):
            raise RuntimeError(
                "dramatiq's worker cannot consume Tandem's queues: type `queue consume` instead of `dramatiq …`; in a "
                "test, set QUEUE_TRANSPORT=sync, with which `send` handles the message"
            )
        super().emit_before(signal, *args, **kwargs)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30000) -> dramatiq.Consumer:
        """Raise NotImplementedError: a worker of Tandem claims messages with scripts."""
        raise NotImplementedError("dramatiq's worker cannot consume Tandem's queues: type `queue consume`")

    def flush(self, queue_name: str) -> None:
        """Raise NotImplementedError: dramatiq's flush deletes dead letters as well."""
        raise NotImplementedError(f"type `queue purge {queue_name}`, which keeps dead letters and asks first")

    def flush_all(self) -> None:
        """Raise NotImplementedError, as `flush`."""
        raise NotImplementedError("type `queue purge QUEUE` for each queue, which keeps dead letters and asks first")

    def join(self, queue_name: str, *, timeout: int | None = None) -> None:
        """Wait until a queue has no message that waits, is delayed or runs. For tests.

        `timeout`: ms. Raises dramatiq's QueueJoinTimeout after it, and QueueNotFound.
        """
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        deadline = None if timeout is None else time.monotonic() + timeout / 1000
        while self.store.size(queue_name):
            if deadline is not None and time.monotonic() > deadline:
                raise QueueJoinTimeout(queue_name)
            time.sleep(JOIN_INTERVAL)

    def declare_actor(self, actor: dramatiq.Actor[..., Any]) -> None:
        """Declare an actor, which gets the method `send_many`; dramatiq calls this."""
        super().declare_actor(actor)
        vars(actor)["send_many"] = partial(send_many, actor)

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; dramatiq calls this for each actor."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Send a copy of a message, to be handled at once or after `delay` ms; return it as sent.

        A message that is already in the queue can be sent once more. Raises ValueError for a delay over a week,
        dramatiq's ConnectionClosed if Redis did not accept the message, DuplicateMessage, and DiskFull, but not for a
        message that an actor sends.
        """
        if self.binding.inline:
            delay = None  # there is no worker to handle it later
        _check_delay(delay)
        if self._is_sent_later(message, delay):
            return message
        if delay is not None:
            message = message.copy(options={"eta": self.store.clock.now() + delay})
        # Hooks may change a message, which is the caller's.
        message = self.as_sent(message.copy() if self.hooks("before_enqueue") else message)
        if not self.in_flight.running():
            self.require_disk_space()
        self.emit_before("enqueue", message, delay)
        payload, id_ = message.encode(), message.message_id
        if unique := self._unique(message):
            return self._enqueue_unique(message, payload, delay, unique)
        try:
            while not self.store.enqueue(message.queue_name, id_, payload, delay):
                # The message keeps its id, by which its result is found; only the queue needs another one.
                id_ = another_id(message.message_id)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        self.emit_after("enqueue", message, delay)
        self._handle_inline(message, id_)
        return message

    def _is_sent_later(self, message: dramatiq.Message[Any], delay: int | None) -> bool:
        """Return whether the message is sent at the end of a block, or when a transaction commits."""
        if (pending := getattr(self._pending, "pairs", None)) is not None:
            pending.append((message, delay))
            return True
        return self._is_kept(message, delay)

    def _is_kept(self, message: dramatiq.Message[Any], delay: int | None) -> bool:
        """Return whether the running transaction keeps the message, which is sent when it commits."""
        if self.unit_of_work is None or message.options.get("outbox") is False:
            return False
        return self.unit_of_work.keep(lambda: self._relayed(message, delay))

    def _relayed(self, message: dramatiq.Message[Any], delay: int | None) -> Relayed:
        """Return the message as an outbox stores it, after the hooks of the middleware."""
        due = None if delay is None else self.store.clock.now() + delay
        message = self.as_sent(message.copy(options={} if due is None else {"eta": due}))
        self.emit_before("enqueue", message, delay)
        stored = relayed(message, due, self._unique(message))
        self.emit_after("enqueue", message, delay)
        return stored

    def send_relayed(self, messages: Sequence[Relayed]) -> list[str]:
        """Send messages from an outbox, each once; return their ids in the queues, or ''. Raises redis.RedisError."""
        return self._require_relayed_messages().send(messages, self.store.clock.now())

    def after_relayed(self, messages: Sequence[Relayed], ids: Sequence[str]) -> None:
        """Forget that messages were sent, after they were deleted from their outbox. Raises redis.RedisError.

        If there is no worker, they are handled inline, now that no transaction of the outbox holds a lock.
        """
        self._require_relayed_messages().forget(messages)
        if self.binding.inline:
            for message, id_ in zip(messages, ids, strict=True):
                if id_:
                    self.binding.inline(message.queue, id_)

    def _require_relayed_messages(self) -> RelayedMessages:
        """Return what sends them, whose script is read once, and only where there is an outbox."""
        if self._relayed_messages is None:
            self._relayed_messages = RelayedMessages(self.client)
        return self._relayed_messages

    def _unique(self, message: dramatiq.Message[Any]) -> Unique | None:
        """Return how a message is unique, if it is. Raises ValueError if its key cannot be made."""
        actor = self.actors.get(message.actor_name)
        return unique_of(message, actor.options) if actor else None

    def _enqueue_unique(
        self, message: dramatiq.Message[Any], payload: bytes, delay: int | None, unique: Unique
    ) -> dramatiq.Message[Any]:
        try:
            result, id_ = self.store.enqueue_unique(message.queue_name, payload, delay, unique)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error
        if result == "known":
            if unique.on_duplicate == "error":
                raise DuplicateMessage(f"a message of {message.actor_name} with the same key is in the queue")
            logger.debug("not sent, because one with the same key is in the queue: %s", message)
            return message
        self.emit_after("enqueue", message, delay)
        self._handle_inline(message, id_)
        return message

    def _is_unique(self, message: dramatiq.Message[Any]) -> bool:
        actor = self.actors.get(message.actor_name)
        return bool(actor and actor.options.get("unique"))

    def _refuse_unique(self, message: dramatiq.Message[Any]) -> None:
        if self._is_unique(message):
            raise ValueError(f"{message.actor_name} has the option unique: send its messages one by one, with send")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send all that this thread enqueues in the block at its end, in batches; nothing of it if the block raises.

        A unique message is sent at the end by itself.
        """
        if getattr(self._pending, "pairs", None) is not None:
            yield  # at the end of the outer block
            return
        pairs: list[Pair] = []
        self._pending.pairs = pairs
        try:
            yield
        finally:
            self._pending.pairs = None
        many = [pair for pair in pairs if not self._is_unique(pair[0])]
        self.enqueue_many([message for message, _ in many], delays=[delay for _, delay in many])
        for message, delay in pairs:
            if self._is_unique(message):
                self.enqueue(message, delay=delay)

    def enqueue_many(
        self, messages: Sequence[dramatiq.Message[Any]], *, delays: Sequence[int | None] | None = None
    ) -> list[dramatiq.Message[Any]]:
        """Send many messages, each after its own delay (ms) if there are `delays`; return them as sent.

        They go in batches of 500 with one round trip each, and all of a batch or none of it is sent. Raises as
        `enqueue`, after the batches before were sent, and ValueError for another number of delays.
        """
        delays = [None] * len(messages) if delays is None else delays
        pairs = list(zip(messages, delays, strict=True))
        if pairs and all(self._is_kept(message, delay) for message, delay in pairs):
            return list(messages)
        for message, delay in pairs:
            _check_delay(delay)
            self._refuse_unique(message)
        if self.binding.inline:
            return [self.enqueue(message) for message in messages]
        return enqueue_in_batches(self, pairs)

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
        self._refuse_unique(message)
        self.require_disk_space()
        message = self.as_sent(message)
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

    def as_sent(self, message: dramatiq.Message[Any]) -> dramatiq.Message[Any]:
        """Return the message with the key of its limit, its trace, and its time by the clock of Redis.

        The time changes only if this host's clock is wrong.
        Raises ValueError if the key cannot be made.
        """
        actor = self.actors.get(message.actor_name)
        if actor and (key := limits.key_of(message, actor.options)) is not None:
            message = message.copy(options={limits.KEY: key})
        if self.tracing is not None:
            message = self.tracing.sent(message)
        offset = self.store.clock.offset()
        if abs(offset) < CLOCK_TOLERANCE_MS:
            return message
        return message.copy(message_timestamp=message.message_timestamp + offset)

    def require_disk_space(self) -> None:
        """Raise DiskFull. Only for new work: running messages must be able to end, which frees space."""
        disk = self.binding.disk
        if disk and (reason := disk.shortage()):
            raise DiskFull(reason)

    def outbox_message(self, message: dramatiq.Message[Any]) -> OutboxMessage:
        """Return the message in the form in which a workload's script can send it; ValueError if it is unique."""
        self._refuse_unique(message)
        message = self.as_sent(message)
        return OutboxMessage(
            enqueue_keys(message.queue_name),
            enqueue_arguments(message.queue_name, message.message_id, message.encode()),
            sent=partial(self._handle_inline, message),
        )
