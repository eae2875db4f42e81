"""Tandem's broker and worker behind the parts of StubBroker and dramatiq's Worker that dramatiq's tests use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import uuid4

import dramatiq
import redis
from dramatiq import Message, MessageProxy
from dramatiq.errors import QueueJoinTimeout, QueueNotFound

from tandem import runtime
from tandem.broker import keys
from tandem.broker.broker import Binding, Broker
from tandem.operate import control
from tandem.worker.loop import Worker

JOIN_SECONDS = 15.0
INTERVAL = 0.01


class Failures(dramatiq.Middleware):
    """Notes how messages failed, for `join`: class and arguments, since tests look for exceptions that stay alive."""

    def __init__(self) -> None:
        self.of_queue: dict[str, list[tuple[type[BaseException], tuple[Any, ...]]]] = {}

    def after_nack(self, _broker: Any, message: MessageProxy) -> None:
        error = message._exception or Exception("unknown")
        self.of_queue.setdefault(message.queue_name, []).append((type(error), error.args))


class TandemBroker(Broker):
    """The broker of a worker process, on this Redis; `workers` learn of queues that are declared late."""

    def __init__(self, client: redis.Redis, *, fail_fast: bool) -> None:
        self._fail_fast = fail_fast
        self.workers: list[TandemWorker] = []
        super().__init__(middleware=runtime.default_middleware())
        self.bind(Binding(client, worker="conformance:worker_00"))
        self.failures = Failures()
        self.add_middleware(self.failures)

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            super().declare_queue(queue_name)
            self.queues[queue_name] = QueueView(self, queue_name)
        for worker in self.workers:
            worker.serve(queue_name)

    def join(self, queue_name: str, *, fail_fast: bool | None = None, timeout: int | None = None) -> None:
        """As StubBroker's: raises what a message of the queue has failed with."""
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        deadline = time.monotonic() + (JOIN_SECONDS if timeout is None else timeout / 1000)
        while self.store.size(queue_name):
            if time.monotonic() > deadline:
                raise QueueJoinTimeout(queue_name)
            time.sleep(INTERVAL)
        fail_fast = self._fail_fast if fail_fast is None else fail_fast
        if fail_fast and (failures := self.failures.of_queue.get(queue_name)):
            kind, arguments = failures[0]
            raise kind(*arguments)

    @property
    def dead_letters(self) -> list[_ById]:  # type: ignore[override]
        """The dead letters of all queues, compared by id as StubBroker's are by content."""
        found = [self.client.hvals(keys.dead_payloads(queue)) for queue in self.queues]
        return [_ById(Message.decode(cast(bytes, payload))) for payloads in found for payload in payloads]

    def flush_all(self) -> None:
        self.client.flushdb()


class QueueView:
    """What dramatiq's tests do with a queue of StubBroker."""

    def __init__(self, broker: TandemBroker, name: str) -> None:
        self._broker = broker
        self._name = name

    def put(self, payload: bytes) -> None:
        self._broker.store.enqueue(self._name, str(uuid4()), payload, None)

    def get(self, timeout: float) -> bytes:
        client = self._broker.client
        id_ = cast(bytes, client.lpop(keys.ready(self._name)))
        payload = cast(bytes, client.hget(keys.payloads(self._name), cast(str, id_)))
        client.hdel(keys.payloads(self._name), cast(str, id_))
        return payload

    def qsize(self) -> int:
        return self._broker.store.size(self._name)


class _ById:
    def __init__(self, message: Message[Any]) -> None:
        self._id = message.message_id

    def __eq__(self, other: object) -> bool:
        return getattr(other, "message_id", None) == self._id

    __hash__ = None  # type: ignore[assignment]


class TandemWorker:
    """A worker that starts to consume with the first queue."""

    def __init__(
        self,
        broker: TandemBroker,
        *,
        queues: set[str] | None = None,
        worker_threads: int = 8,
        worker_timeout: int = 1000,
    ) -> None:
        self.broker = broker
        self.worker_timeout = worker_timeout
        self._only = queues
        self._threads = worker_threads
        self._paused = False
        self._worker: Worker | None = None

    def start(self) -> None:
        self.broker.draining.clear()
        self.broker.workers.append(self)
        for queue in list(self.broker.queues):
            self.serve(queue)

    def serve(self, queue: str) -> None:
        """Consume this queue as well."""
        if self._only is not None and queue not in self._only:
            return
        if self._paused:
            control.pause(self.broker.client, queue)
        if self._worker is None:
            self._worker = Worker(self.broker, queues=(queue,), threads=self._threads, strict_priority=False)
            self._worker.start()
        elif queue not in self._worker._queues:
            self._worker._queues += (queue,)
            self._worker._store.stop_waiting()

    def join(self) -> None:
        deadline = time.monotonic() + JOIN_SECONDS
        while self._worker and self._worker._claimed and time.monotonic() < deadline:
            time.sleep(INTERVAL)

    def stop(self, timeout: int = 15_000) -> None:
        if self in self.broker.workers:
            self.broker.workers.remove(self)
        if self._worker:
            worker, self._worker = self._worker, None
            worker.stop_claiming(5)
            deadline = time.monotonic() + timeout / 1000
            while not worker.wait_until_idle(INTERVAL) and time.monotonic() < deadline:
                pass
            worker.stop(5)

    def pause(self) -> None:
        self._paused = True
        for queue in self.broker.queues:
            control.pause(self.broker.client, queue)

    def resume(self) -> None:
        self._paused = False
        for queue in self.broker.queues:
            control.resume(self.broker.client, queue)


@contextmanager
def running(worker: Any) -> Iterator[Any]:
    """Start a worker for a block."""
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
