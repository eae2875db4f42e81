"""QUEUE_TRANSPORT=sync: the sender handles a message itself, before `send` returns. For development and tests."""

from __future__ import annotations

import os
import time
from threading import Thread
from weakref import WeakKeyDictionary

from tandem.broker.broker import Broker
from tandem.broker.store import Outcome
from tandem.worker.executor import Executor

# The process in which the middleware of a broker was booted: its threads can be started only once, and the tests of an
# application have an inline worker each.
_booted: WeakKeyDictionary[Broker, int] = WeakKeyDictionary()


class InlineWorker:
    """Handles messages in the sending thread, with the same scripts and the same rules as a worker.

    It waits for retries, and a message that failed for good becomes a dead letter; `send` raises nothing. It does not
    wait for a requested delay.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def handle(self, queue: str, id_: str) -> None:
        """Handle a message until it has ended. Raises redis.RedisError."""
        while outcome := self.deliver(queue, id_):
            if outcome.result == "retried":
                time.sleep(int(outcome.detail) / 1000)

    def deliver(self, queue: str, id_: str) -> Outcome | None:
        """Run a message once; return its outcome, or None if it does not wait. Raises redis.RedisError."""
        if _booted.get(self._broker) != os.getpid():
            # Here and not in the constructor: threads that were started before a fork do not exist in the child.
            _booted[self._broker] = os.getpid()
            # The event loop of async actors starts here. Its thread is a daemon because the one that starts it is one:
            # nobody ends it, and the process must be able to exit.
            boot = Thread(target=self._boot, name="boot", daemon=True)
            boot.start()
            boot.join()
        store = self._broker.store
        delivery = store.claim_by_id(queue, id_)
        if delivery is None:
            return None
        outcome = Executor(self._broker).run(delivery)
        store.ack(queue, [outcome])
        return outcome

    def _boot(self) -> None:
        self._broker.emit_after("process_boot")
        self._broker.emit_before("worker_boot", self)
        self._broker.emit_after("worker_boot", self)
