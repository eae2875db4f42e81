"""Where probes run: a broker with a worker, and what its actors did."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import dramatiq
import redis
from dramatiq.middleware import CurrentMessage, GroupCallbacks, Middleware
from dramatiq.rate_limits import backends as limits
from dramatiq.results import ResultFailure, ResultMissing, Results
from dramatiq.results import backends as results

from tests.conformance.fixtures_of_dramatiq import new_worker

QUICK: dict[str, Any] = {"min_backoff": 5, "max_backoff": 10}
JOIN_MS = 10_000
PROBES: dict[str, Callable[[Lab], object]] = {}


class Signals(Middleware):
    """Notes the signals about messages of the actor `work`.

    A delayed message that becomes due is acknowledged in one queue of dramatiq and enqueued in another one, on another
    thread than the one that runs messages. So only the delayed ones of these signals are counted, without their order.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.delayed = 0
        self.acknowledged = False
        for moment, name in itertools.product(("before", "after"), ("process_message", "skip_message", "nack")):
            if hasattr(Middleware, f"{moment}_{name}"):
                setattr(self, f"{moment}_{name}", self._noting(moment, name))

    def _noting(self, moment: str, name: str) -> Callable[..., None]:
        def note(_broker: object, message: Any, *, exception: object = None, **_: object) -> None:
            failed = " failed" if message.failed else ""
            raised = f" {type(exception).__name__}" if exception else ""
            if message.actor_name == "work":
                self.seen.append(f"{moment} {name}{failed}{raised}")

        return note

    def after_enqueue(self, _broker: object, _message: object, delay: object) -> None:
        self.delayed += delay is not None

    def after_ack(self, _broker: object, _message: object) -> None:
        self.acknowledged = True

    def summary(self) -> list[object]:
        return [self.seen, self.delayed, self.acknowledged]


class Lab:
    """A broker with a worker, and what its actors did."""

    def __init__(self, broker: Any, client: redis.Redis) -> None:
        self.broker = broker
        self.client = client
        self.results = results.RedisBackend(client=client)
        self.limits = limits.RedisBackend(client=client)
        self.signals = Signals()
        self.ran: list[Any] = []
        for part in (Results(backend=self.results), GroupCallbacks(self.limits), self.signals):
            broker.add_middleware(part)
        if not any(isinstance(part, CurrentMessage) for part in broker.middleware):
            broker.add_middleware(CurrentMessage())

    def actor(self, function: Callable[..., Any] | None = None, name: str = "work", **options: Any) -> Any:
        """Declare an actor that notes its arguments, and then does what `function` does."""

        def act(*arguments: Any, **more: Any) -> Any:
            self.ran.append([*arguments, *([more] if more else [])])
            return function(*arguments, **more) if function else None

        return dramatiq.actor(broker=self.broker, actor_name=name, **options)(act)

    def work(self, *actors: Any) -> None:
        """Handle all that was sent, retries and callbacks included."""
        worker = new_worker(self.broker, worker_timeout=50, worker_threads=4)
        worker.start()
        try:
            for queue in {actor.queue_name for actor in actors} or {"default"}:
                self.broker.join(queue, timeout=JOIN_MS)
            worker.join()
        finally:
            worker.stop()

    def dead(self, queue: str = "default") -> int:
        return self.client.zcard(f"dramatiq:{queue}.XQ")

    def outcome(self) -> dict[str, Any]:
        """Return what ran and what is dead."""
        return {"ran": self.ran, "dead": self.dead()}


def probe(name: str) -> Callable[[Callable[[Lab], object]], Callable[[Lab], object]]:
    """Add a probe."""

    def add(function: Callable[[Lab], object]) -> Callable[[Lab], object]:
        assert name not in PROBES
        PROBES[name] = function
        return function

    return add


def add(name: str, function: Callable[..., object], *arguments: Any, **more: Any) -> None:
    """Add a probe that calls this function with these arguments after the lab."""
    probe(name)(lambda lab: function(lab, *arguments, **more))


class Oh(Exception):
    """What the actors raise."""


def failing(times: int, error: Callable[[], BaseException] = lambda: Oh("oh")) -> Callable[..., Any]:
    """Return a function that fails so often, and then returns `done`."""
    left = iter(range(times))

    def fail(*_: Any, **__: Any) -> str:
        for _number in left:
            raise error()
        return "done"

    return fail


def current() -> dict[str, Any]:
    """Return what retries leave in the options of the current message."""
    message = CurrentMessage.get_current_message()
    assert message is not None
    return {
        "retries": message.options.get("retries"),
        "has traceback": "traceback" in message.options,
        "has requeue_timestamp": "requeue_timestamp" in message.options,
    }


def collected(lab: Lab, messages: list[Any]) -> list[Any]:
    found: list[Any] = []
    for message in messages:
        try:
            found.append(message.get_result(backend=lab.results))
        except (ResultMissing, ResultFailure) as error:
            found.append(type(error).__name__)
    return found
