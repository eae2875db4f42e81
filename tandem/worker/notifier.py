"""Notifies an idle worker of new messages, without polling."""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import Any, cast

import redis

from tandem.broker import keys

logger = logging.getLogger(__name__)

# Below the timeout of a command (connection.py): a wait without a notification is not an error.
LISTEN_SECONDS = 4
BACKOFF = 0.5


class Notifier:
    """Ends a wait when a message arrives in one of the queues, or when `notify` is called.

    Each message adds an element to its queue's notify list, from which one waiting worker gets it. Redis itself serves
    the waiting workers in order. A separate thread listens, because a blocking command of Redis can neither be
    cancelled
    from here nor be exact to the millisecond.
    """

    def __init__(self, client: redis.Redis, queues: tuple[str, ...]) -> None:
        self._redis = client
        self._lists = [keys.notify(queue) for queue in queues]
        self._notified = Event()
        self._listening = Event()
        self._stopped = False

    def start(self) -> None:
        """Start to listen."""
        Thread(target=self._listen_all, name="notifier", daemon=True).start()

    def stop(self) -> None:
        """Stop listening, at the latest after LISTEN_SECONDS; does not wait for it."""
        self._stopped = True
        self._listening.set()

    def notify(self) -> None:
        """End the current or the next wait of this process."""
        self._notified.set()

    def wait(self, seconds: float) -> None:
        """Wait for `notify`, at most `seconds`."""
        self._notified.wait(seconds)
        self._notified.clear()

    def wait_for_messages(self, seconds: float) -> None:
        """Wait for a message or `notify`, at most `seconds`."""
        self._listening.set()
        self.wait(seconds)
        self._listening.clear()

    def _listen_all(self) -> None:
        while not self._stopped:
            self._listening.wait()
            try:
                self._listen()
            except redis.RedisError as error:
                logger.debug("listening for notifications failed: %s", error)
                Event().wait(BACKOFF)

    def _listen(self) -> None:
        element = cast("tuple[bytes, bytes] | None", self._redis.blpop(cast(Any, self._lists), timeout=LISTEN_SECONDS))
        if element is None:
            return
        if self._listening.is_set() and not self._stopped:
            # Listens again at the next wait: until then this thread would only compete with the working ones.
            self._listening.clear()
            self._notified.set()
        else:
            # This worker is busy by now, or stopping: passes the notification on to another one.
            self._redis.rpush(element[0].decode(), 1)
