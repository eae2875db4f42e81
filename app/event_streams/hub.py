"""One thread that holds the connections of all readers in this process, and tells them what changes."""

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

from app.event_streams.listener import Listener
from app.event_streams.reader import Reader
from app.event_streams.readers import Readers

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
# Records that change more often are looked at no more often, so readers hear of ten changes in a second at most.
LOOK_SECONDS = 0.1
AGAIN_AFTER = 0.5
AGAIN_AFTER_AT_MOST = 5.0
# How often to look for news where there is no socket to wait on: a Redis inside this process.
POLL_SECONDS = 0.05
CLOSE_SECONDS = 2.0


class Hub:
    """Readers come in through `take`, from any thread; all else is done by the hub's own, which the first one starts.

    limit: how many readers it holds at once. heartbeat: seconds between two comments to each reader. With each
    heart-beat every record that is watched is looked at anew, because a message of pub/sub can be lost.
    """

    def __init__(self, connect: Callable[[], redis.Redis], *, limit: int, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._limit = limit
        self._heartbeat = heartbeat
        self._selector = selectors.DefaultSelector()
        self._readers = Readers(self._selector)
        self._new: SimpleQueue[Reader] = SimpleQueue()
        self._listener = Listener(connect)
        self._heard_on: socket.socket | None = None
        self._stale: set[str] = set()
        self._next_look = 0.0
        self._next_beat = 0.0
        self._next_try = 0.0
        self._delay = 0.0
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread: Thread | None = None
        self._taking = Lock()
        self._closing = False

    def __len__(self) -> int:
        return len(self._readers) + self._new.qsize()

    @property
    def full(self) -> bool:
        """Whether it takes nobody else."""
        return len(self) >= self._limit

    def take(self, reader: Reader) -> None:
        """Tells this reader from now on what changes; it is ended when there is no room."""
        with self._taking:
            if self._closing or self.full:
                return reader.end()
            self._new.put(reader)
            if self._thread is None:
                _allow_more_files(self._limit)
                self._thread = Thread(target=self._run, name="event-streams", daemon=True)
                self._thread.start()
        return self._wake()

    def close(self) -> None:
        """Ends all readers' responses, so that they come again elsewhere, and takes no more."""
        with self._taking:
            self._closing = True
        if self._thread is not None:
            self._wake()
            self._thread.join(CLOSE_SECONDS)

    def _wake(self) -> None:
        # When it does not fit there is enough in it to wake anybody.
        with suppress(BlockingIOError):
            self._waker.send(b"\0")

    def _run(self) -> None:
        while not self._closing:
            try:
                self._turn()
            except Exception:
                logger.exception("the hub broke; its %d readers of events have to come again", len(self._readers))
                self._readers.part(Reader.close)
                self._stop_listening()
        self._admit()
        self._readers.part(Reader.end)
        self._stop_listening()

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if isinstance(key.fileobj, Reader) and not key.fileobj.is_there():
                self._readers.leave(key.fileobj)
        self._admit()
        beat = time.monotonic() >= self._next_beat
        if beat:
            self._next_beat = time.monotonic() + self._heartbeat
            self._readers.beat()
            self._stale |= self._readers.channels
        if time.monotonic() >= self._next_try:
            self._follow(check=beat)

    def _patience(self) -> float | None:
        if not self._readers:
            return None
        until = [self._next_beat]
        if not self._listener.connected:
            until.append(self._next_try)
        elif self._heard_on is None:
            until.append(time.monotonic() + POLL_SECONDS)
        if self._stale:
            until.append(max(self._next_look, self._next_try))
        return max(0.0, min(until) - time.monotonic())

    def _admit(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        with suppress(Empty):
            while True:
                reader = self._new.get_nowait()
                if not self._readers:
                    self._next_beat = time.monotonic() + self._heartbeat
                self._readers.add(reader)
                # It can have changed since its view has looked.
                self._stale.add(reader.channel)

    def _follow(self, *, check: bool) -> None:
        """Listens and looks; when Redis is away it does so again later, and the readers wait."""
        try:
            if check:
                self._listener.check()
            self._listener.follow(self._readers.channels)
            self._stale |= self._listener.heard()
            self._listen_on(self._listener.connection)
            self._look()
        except redis.RedisError as error:
            if not self._delay:
                logger.warning("readers of events wait for Redis: %s", error)
            self._stop_listening()
            self._delay = min(self._delay * 2 or AGAIN_AFTER, AGAIN_AFTER_AT_MOST)
            self._next_try = time.monotonic() + self._delay

    def _look(self) -> None:
        self._stale &= self._readers.channels
        if not self._stale or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._readers.look(self._stale)
        self._stale.clear()
        if self._delay:
            logger.info("readers of events hear from Redis again")
        self._delay = 0.0

    def _listen_on(self, connection: socket.socket | None) -> None:
        if connection is self._heard_on:
            return
        if self._heard_on is not None:
            self._selector.unregister(self._heard_on)
        if connection is not None:
            self._selector.register(connection, selectors.EVENT_READ)
        self._heard_on = connection

    def _stop_listening(self) -> None:
        self._listen_on(None)
        self._listener.close()


def _allow_more_files(more: int) -> None:
    """Many systems give a process 1024 although it may have more; gunicorn's worker ends when it cannot accept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = soft + more if hard == resource.RLIM_INFINITY else min(soft + more, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
