"""How an idle worker hears that there is something to do, without asking again and again."""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import Any, cast

import redis

from app.queueing import keys

logger = logging.getLogger(__name__)

# Below the timeout of a command (connection.py): a wait without a ring is no error.
LISTEN_SECONDS = 4
AGAIN_AFTER = 0.5


class Bell:
    """Rings when a message comes into one of the queues, or when `ring` is called.

    Each message puts an element into its queue's bell list, where one waiting worker gets it. Redis itself then keeps
    the order of those who wait. The thread in between is there because a wait in Redis can neither be ended from here
    nor be exact to the millisecond.
    """

    def __init__(self, client: redis.Redis, queues: tuple[str, ...]) -> None:
        self._redis = client
        self._lists = [keys.bell(queue) for queue in queues]
        self._rung = Event()
        self._wanted = Event()
        self._over = False

    def start(self) -> None:
        """Begins to listen."""
        Thread(target=self._listen_all, name="bell", daemon=True).start()

    def stop(self) -> None:
        """Stops listening, at the latest after LISTEN_SECONDS; nobody has to wait for it."""
        self._over = True
        self._wanted.set()

    def ring(self) -> None:
        """Ends the wait of this process, now or the next one."""
        self._rung.set()

    def wait(self, seconds: float) -> None:
        """Waits for `ring`, at most `seconds`."""
        self._rung.wait(seconds)
        self._rung.clear()

    def wait_for_messages(self, seconds: float) -> None:
        """Waits for a message or `ring`, at most `seconds`."""
        self._wanted.set()
        self.wait(seconds)
        self._wanted.clear()

    def _listen_all(self) -> None:
        while not self._over:
            self._wanted.wait()
            try:
                self._listen()
            except redis.RedisError as error:
                logger.debug("the bell cannot be heard: %s", error)
                Event().wait(AGAIN_AFTER)

    def _listen(self) -> None:
        heard = cast("tuple[bytes, bytes] | None", self._redis.blpop(cast(Any, self._lists), timeout=LISTEN_SECONDS))
        if heard is None:
            return
        if self._wanted.is_set() and not self._over:
            # Listens again when it is asked to: until then this thread would only be in the way of those with work.
            self._wanted.clear()
            self._rung.set()
        else:
            # Busy by now, or leaving: another one shall hear it.
            self._redis.rpush(heard[0].decode(), 1)
