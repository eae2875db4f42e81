"""How a worker takes messages off one queue."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import redis
from dramatiq import MessageProxy
from dramatiq.broker import Consumer as BaseConsumer
from dramatiq.common import compute_backoff
from dramatiq.errors import ConnectionClosed

if TYPE_CHECKING:
    from app.queueing.broker import Broker

logger = logging.getLogger(__name__)

# The longest that an idle consumer waits before it looks again.
POLL_SECONDS = 0.2
# dramatiq's thread asks again and again, also while there is nothing more to take.
DRAINED_PAUSE = 0.02


class Consumer(BaseConsumer):
    """Takes at most `prefetch` messages at a time and none any more once the broker drains.

    dramatiq's own consumer goes on taking messages while its worker stops, and puts those that it gives back behind
    all others.
    """

    def __init__(self, broker: Broker, queue: str, prefetch: int) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._fetched: deque[tuple[str, bytes]] = deque()
        self._outstanding: set[str] = set()
        self._freed = threading.Event()
        self._misses = 0
        # Delayed messages only wait here, they are not handled: what bounds the handled ones is not for them.
        self._counts = not queue.endswith(".DQ")
        self.drained = threading.Event()

    def __next__(self) -> MessageProxy | None:
        """The next message, or None when there is none for now. Raises ConnectionClosed."""
        try:
            return self._next()
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None

    def resume(self) -> None:
        """Goes on after the connection broke, with what is still in this process's memory.

        What is with this worker in Redis and not here (a fetch whose answer was lost, delayed messages that dramatiq
        drops when the connection breaks) goes back, or nobody would ever handle it. Raises redis.RedisError.
        """
        if not self._counts:
            self._fetched.clear()
            self._outstanding.clear()
        here = self._outstanding | {id_ for id_, _ in self._fetched}
        held = [_redis_id(message) for message, _ in self._broker.delivery.held(self._queue)]
        self._broker.delivery.give_back(self._queue, [id_ for id_ in held if id_ not in here])

    def ack(self, message: Any) -> None:
        """Forgets a handled message. Raises ConnectionClosed."""
        self._settle(message, lambda id_: self._broker.delivery.ack(self._queue, id_))

    def nack(self, message: Any) -> None:
        """Makes a failed message a dead letter. Raises ConnectionClosed."""
        self._settle(message, lambda id_: self._broker.delivery.bury(self._queue, id_, message.encode()))

    def requeue(self, messages: Iterable[Any]) -> None:
        """Gives messages back that nobody worked on. Raises ConnectionClosed."""
        try:
            self._broker.delivery.give_back(self._queue, [_redis_id(message) for message in messages])
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None

    def _next(self) -> MessageProxy | None:
        if self._broker.draining.is_set():
            self._drain()
            return None
        if self._fetched:
            id_, payload = self._fetched.popleft()
            message = self._broker.delivery.read(self._queue, id_, payload)
            if message is None:
                return None
            self._outstanding.add(id_)
            return MessageProxy(message)
        room = self._prefetch - len(self._outstanding)
        if room <= 0:
            self._freed.wait(POLL_SECONDS)
            self._freed.clear()
            return None
        self._fetched.extend(self._fetch(room))
        if not self._fetched:
            self._wait()
        return None

    def _fetch(self, room: int) -> list[tuple[str, bytes]]:
        if not self._counts:
            return self._broker.delivery.fetch(self._queue, room)
        granted = self._broker.budget.take(room)
        taken: list[tuple[str, bytes]] = []
        try:
            taken = self._broker.delivery.fetch(self._queue, granted) if granted else []
        finally:
            self._broker.budget.put_back(granted - len(taken))
        return taken

    def _wait(self) -> None:
        self._misses, pause = compute_backoff(self._misses, max_backoff=round(POLL_SECONDS * 1000))
        self._broker.draining.wait(pause / 1000)

    def _drain(self) -> None:
        self._broker.delivery.give_back(self._queue, [id_ for id_, _ in self._fetched])
        self._fetched.clear()
        self.drained.set()
        time.sleep(DRAINED_PAUSE)

    def _settle(self, message: Any, store: Callable[[str], bool]) -> None:
        id_ = _redis_id(message)
        try:
            if not store(id_):
                logger.warning("the message %s was no longer with this worker", message.message_id)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None
        self._outstanding.discard(id_)
        self._misses = 0
        self._freed.set()


def _redis_id(message: Any) -> str:
    """The id of one delivery: a retry of the same message has another one."""
    return str(message.options["redis_message_id"])
