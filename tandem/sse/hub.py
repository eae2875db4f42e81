"""One thread that serves the connections of all subscribers of this process."""

from __future__ import annotations

import logging
import resource
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import redis

from tandem.sse.listener import Listener
from tandem.sse.subscriber import Subscriber
from tandem.sse.subscribers import Subscribers
from tandem.support.backoff import Backoff

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
# Records are read at most this often, so subscribers get at most ten events per second.
POLL_INTERVAL = 0.1
BACKOFF = (0.5, 5.0)
# How often to check for changes if there is no socket to wait on: a Redis inside this process.
POLL_SECONDS = 0.05
CLOSE_SECONDS = 2.0


class Hub:
    """Accepts subscribers from any thread; its own thread does the rest, and starts with the first subscriber.

    limit: how many subscribers it accepts at once. heartbeat: seconds between two comments to each subscriber. With
    each heartbeat every watched record is read again, because a pub/sub message can be lost.
    """

    def __init__(self, connect: Callable[[], redis.Redis], *, limit: int, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._limit = limit
        self._heartbeat = heartbeat
        self._selector = selectors.DefaultSelector()
        self._subscribers = Subscribers(self._selector)
        self._new: SimpleQueue[Subscriber] = SimpleQueue()
        self._listener = Listener(connect)
        self._watched_socket: socket.socket | None = None
        self._stale: set[str] = set()
        self._next_read = 0.0
        self._next_beat = 0.0
        self._next_try = 0.0
        self._backoff = Backoff(*BACKOFF)
        self._waker, self._wakeups = socket.socketpair()
        self._waker.setblocking(False)
        self._wakeups.setblocking(False)
        self._selector.register(self._wakeups, selectors.EVENT_READ)
        self._thread: Thread | None = None
        self._accepting = Lock()
        self._closing = False

    def __len__(self) -> int:
        return len(self._subscribers) + self._new.qsize()

    @property
    def full(self) -> bool:
        """Whether it accepts no more subscribers."""
        return len(self) >= self._limit

    def accept(self, subscriber: Subscriber) -> None:
        """Send events to this subscriber from now on; end it if the hub is full."""
        with self._accepting:
            if self._closing or self.full:
                return subscriber.end()
            self._new.put(subscriber)
            if self._thread is None:
                _allow_more_files(self._limit)
                self._thread = Thread(target=self._run, name="event-streams", daemon=True)
                self._thread.start()
        return self._wake()

    def close(self) -> None:
        """End the responses of all subscribers, so that they reconnect elsewhere, and accept no more."""
        with self._accepting:
            self._closing = True
        if self._thread is not None:
            self._wake()
            self._thread.join(CLOSE_SECONDS)

    def _wake(self) -> None:
        # If the buffer is full, it contains enough to wake the thread.
        with suppress(BlockingIOError):
            self._waker.send(b"\0")

    def _run(self) -> None:
        while not self._closing:
            try:
                self._step()
            except Exception:
                logger.exception("the hub failed; its %d subscribers have to reconnect", len(self._subscribers))
                self._subscribers.close(Subscriber.close)
                self._stop_listening()
        self._add_new()
        self._subscribers.close(Subscriber.end)
        self._stop_listening()

    def _step(self) -> None:
        for key, _ in self._selector.select(self._timeout()):
            if isinstance(key.fileobj, Subscriber) and not key.fileobj.is_connected():
                self._subscribers.remove(key.fileobj)
        self._add_new()
        beat = time.monotonic() >= self._next_beat
        if beat:
            self._next_beat = time.monotonic() + self._heartbeat
            self._subscribers.beat()
            self._stale |= self._subscribers.channels
        if time.monotonic() >= self._next_try:
            self._listen(check=beat)

    def _timeout(self) -> float | None:
        if not self._subscribers:
            return None
        until = [self._next_beat]
        if not self._listener.connected:
            until.append(self._next_try)
        elif self._watched_socket is None:
            until.append(time.monotonic() + POLL_SECONDS)
        if self._stale:
            until.append(max(self._next_read, self._next_try))
        return max(0.0, min(until) - time.monotonic())

    def _add_new(self) -> None:
        with suppress(BlockingIOError):
            self._wakeups.recv(4096)
        with suppress(Empty):
            while True:
                subscriber = self._new.get_nowait()
                if not self._subscribers:
                    self._next_beat = time.monotonic() + self._heartbeat
                self._subscribers.add(subscriber)
                # The record can have changed since the view read it.
                self._stale.add(subscriber.channel)

    def _listen(self, *, check: bool) -> None:
        """Receive changes and send events; while Redis is unavailable, the subscribers wait for a later try."""
        try:
            if check:
                self._listener.check()
            self._listener.subscribe(self._subscribers.channels)
            self._stale |= self._listener.changed()
            self._watch(self._listener.connection)
            self._send_events()
        except redis.RedisError as error:
            if not self._backoff.has_grown:
                logger.warning("event streams wait for Redis: %s", error)
            self._stop_listening()
            self._next_try = time.monotonic() + self._backoff.pause
            self._backoff.grow()

    def _send_events(self) -> None:
        self._stale &= self._subscribers.channels
        if not self._stale or time.monotonic() < self._next_read:
            return
        self._next_read = time.monotonic() + POLL_INTERVAL
        self._subscribers.send_events(self._stale)
        self._stale.clear()
        if self._backoff.has_grown:
            logger.info("event streams continue, Redis is available again")
        self._backoff.reset()

    def _watch(self, connection: socket.socket | None) -> None:
        if connection is self._watched_socket:
            return
        if self._watched_socket is not None:
            self._selector.unregister(self._watched_socket)
        if connection is not None:
            self._selector.register(connection, selectors.EVENT_READ)
        self._watched_socket = connection

    def _stop_listening(self) -> None:
        self._watch(None)
        self._listener.close()


def _allow_more_files(more: int) -> None:
    """Raise the soft limit of open files, often 1024; gunicorn's worker exits when it cannot accept a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = soft + more if hard == resource.RLIM_INFINITY else min(soft + more, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
