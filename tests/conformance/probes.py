"""Our own probes: what users of dramatiq rely on, observed on dramatiq's RedisBroker and on Tandem, and compared.

Each probe returns an observation, which is JSON. dramatiq's is what is expected. Becomes test_probes.py beside
dramatiq's own tests, and is run by tests/conformance/run.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import dramatiq
import pytest
import redis
from dramatiq import group, pipeline
from dramatiq.errors import RateLimitExceeded, Retry
from dramatiq.middleware import AsyncIO, CurrentMessage, GroupCallbacks, Middleware, SkipMessage
from dramatiq.rate_limits import BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits import backends as limits
from dramatiq.results import ResultFailure, ResultMissing, Results
from dramatiq.results import backends as results

from tests.conformance.fixtures_of_dramatiq import MODE, new_worker

OBSERVATIONS = Path(os.environ["CONFORMANCE_OBSERVATIONS"])
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


@pytest.fixture
def lab(redis_broker: Any, client: redis.Redis) -> Iterator[Lab]:
    yield Lab(redis_broker, client)


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


# --- failure ------------------------------------------------------------------------------------------------------

FAILURES: dict[str, tuple[int, dict[str, Any]]] = {
    "no retries": (9, {"max_retries": 0}),
    "one retry": (9, {"max_retries": 1}),
    "three retries": (9, {"max_retries": 3}),
    "three retries, succeeds at the second attempt": (1, {"max_retries": 3}),
    "three retries, succeeds at the last attempt": (3, {"max_retries": 3}),
    "no limit of retries, succeeds at the fifth attempt": (4, {"max_retries": None}),
    "a time limit": (0, {"max_retries": 0, "time_limit": 60_000}),
    "on_retry_exhausted": (9, {"max_retries": 1, "on_retry_exhausted": "exhausted"}),
    "on_retry_exhausted that is not needed": (1, {"max_retries": 1, "on_retry_exhausted": "exhausted"}),
    "min_backoff above max_backoff": (1, {"max_retries": 1, "min_backoff": 50, "max_backoff": 5}),
    "a high max_age": (1, {"max_retries": 1, "max_age": 3_600_000}),
}


def _fails(lab: Lab, times: int, options: dict[str, Any], *, of_message: bool) -> dict[str, Any]:
    options = {**QUICK, **options}
    exhausted: list[Any] = []
    dramatiq.actor(broker=lab.broker, actor_name="exhausted")(
        lambda message, retries: exhausted.append([message["args"], retries])
    )
    work = lab.actor(failing(times), **({} if of_message else options))
    work.send_with_options(args=(1,), **(options if of_message else {}))
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary(), "exhausted": exhausted}


def _retries(lab: Lab, times: int, options: dict[str, Any]) -> object:
    seen: list[Any] = []
    fail = failing(times)

    def act(*arguments: Any) -> Any:
        seen.append(current())
        return fail(*arguments)

    lab.actor(name="exhausted")
    work = lab.actor(act, **{**QUICK, **options})
    work.send(1)
    lab.work(work)
    return seen


for _name, (_times, _options) in FAILURES.items():
    add(f"failure, options of the actor: {_name}", _fails, _times, _options, of_message=False)
    add(f"failure, options of the message: {_name}", _fails, _times, _options, of_message=True)
    add(f"what an attempt sees of the ones before: {_name}", _retries, _times, _options)


def _raises(lab: Lab, error: Callable[[], BaseException], **options: Any) -> dict[str, Any]:
    work = lab.actor(failing(9, error), **{**QUICK, "max_retries": 2, **options})
    work.send(1)
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}


RAISED: dict[str, tuple[Callable[[], BaseException], dict[str, Any]]] = {
    "throws": (Oh, {"throws": Oh}),
    "a tuple in throws": (Oh, {"throws": (KeyError, Oh)}),
    "a class of throws above it": (lambda: KeyError("a"), {"throws": LookupError}),
    "another class in throws": (Oh, {"throws": KeyError}),
    "Retry": (lambda: Retry("again"), {}),
    "Retry with a delay": (lambda: Retry("again", delay=5), {}),
    "Retry in throws": (lambda: Retry("again"), {"throws": Retry}),
    "retry_when that says no": (Oh, {"retry_when": lambda _retries, _error: False}),
    "retry_when that says yes twice": (Oh, {"retry_when": lambda retries, _error: retries < 2}),
    "retry_when that looks at the exception": (Oh, {"retry_when": lambda _r, error: not isinstance(error, Oh)}),
    "a BaseException": (lambda: BaseException("b"), {}),
    "an exception without a text": (Exception, {}),
    "an exception with a text in unicode": (lambda: Exception("schön ☃"), {}),
    "an exception with other arguments": (lambda: Exception(1, {"a": 2}), {}),
    "TimeoutError": (lambda: TimeoutError("t"), {}),
    "RateLimitExceeded with max_retries": (lambda: RateLimitExceeded("r"), {}),
    "AssertionError": (AssertionError, {"max_retries": 0}),
    "StopIteration": (lambda: StopIteration(1), {"max_retries": 1}),
}
for _name, (_error, _options) in RAISED.items():
    add(f"an actor raises: {_name}", _raises, _error, **_options)


@probe("the time limit is exceeded")
def _(lab: Lab) -> object:
    def act() -> None:
        for _ in range(200):
            time.sleep(0.02)

    work = lab.actor(act, max_retries=0, time_limit=100)
    work.send()
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}


@probe("a message without an actor becomes a dead letter")
def _(lab: Lab) -> object:
    work = lab.actor()
    lab.broker.enqueue(dramatiq.Message("default", "nobody", (), {}, {}))
    work.send(1)
    lab.work(work)
    return lab.outcome()


@probe("a message that is older than max_age does not run")
def _(lab: Lab) -> object:
    work = lab.actor(max_age=1000)
    lab.broker.enqueue(work.message(1).copy(message_timestamp=int(time.time() * 1000) - 5000))
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}


@probe("max_age of a message that is too old")
def _(lab: Lab) -> object:
    work = lab.actor()
    old = work.message_with_options(args=(1,), max_age=1000)
    lab.broker.enqueue(old.copy(message_timestamp=int(time.time() * 1000) - 5000))
    lab.work(work)
    return {**lab.outcome(), "signals": lab.signals.summary()}


# --- middleware ---------------------------------------------------------------------------------------------------


def _middleware(lab: Lab, hook: str, act: Callable[..., None], *, times: int = 0, **options: Any) -> dict[str, Any]:
    part = type("Part", (Middleware,), {hook: lambda self, broker, message, *_, **__: act(broker, message)})()
    lab.broker.add_middleware(part)
    work = lab.actor(failing(times), **{**QUICK, "max_retries": 1, "store_results": True, **options})
    sent = work.send(1)
    lab.work(work)
    try:
        result = sent.get_result(backend=lab.results)
    except (ResultMissing, ResultFailure) as error:
        result = str(error) if isinstance(error, ResultFailure) else type(error).__name__
    return {**lab.outcome(), "signals": lab.signals.summary(), "result": result}


def _skip(*_: object) -> None:
    raise SkipMessage("no")


def _bug(*_: object) -> None:
    raise ZeroDivisionError("a bug of a middleware")


MIDDLEWARE: dict[str, tuple[str, Callable[..., None], int]] = {
    "fail before the message runs": ("before_process_message", lambda _b, message: message.fail(), 0),
    "fail after it has run": ("after_process_message", lambda _b, message: message.fail(), 0),
    "fail after it has failed": ("after_process_message", lambda _b, message: message.fail(), 9),
    "skip": ("before_process_message", _skip, 0),
    "skip one that would fail": ("before_process_message", _skip, 9),
    "a bug before the message runs": ("before_process_message", _bug, 0),
    "a bug after it has run": ("after_process_message", _bug, 0),
    "a bug after it has failed": ("after_process_message", _bug, 9),
    "a bug before it is enqueued": ("before_enqueue", _bug, 0),
    "a bug after it was enqueued": ("after_enqueue", _bug, 0),
    "a bug at its acknowledgement": ("before_ack", _bug, 0),
    "a bug after its acknowledgement": ("after_ack", _bug, 0),
    "a bug at its rejection": ("before_nack", _bug, 9),
    "nothing at all": ("before_process_message", lambda *_: None, 1),
}
for _name, (_hook, _act, _times) in MIDDLEWARE.items():
    add(f"a middleware does: {_name}", _middleware, _hook, _act, times=_times)


@probe("a middleware sees and changes the options of a message")
def _(lab: Lab) -> object:
    seen: list[Any] = []

    class Tenant(Middleware):
        actor_options = {"tenant"}  # noqa: RUF012

        def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
            message.options.setdefault("tenant", broker.get_actor(message.actor_name).options.get("tenant"))

        def before_process_message(self, broker: Any, message: Any) -> None:
            seen.append(message.options["tenant"])

    lab.broker.add_middleware(Tenant())
    work = lab.actor(failing(1), **{**QUICK, "max_retries": 1, "tenant": "blue"})
    work.send(1)
    work.send_with_options(args=(2,), tenant="red")
    lab.work(work)
    return [sorted(seen), lab.dead()]


@probe("middleware is called in its order before, and in the reverse order after")
def _(lab: Lab) -> object:
    seen: list[str] = []

    def part(name: str) -> Middleware:
        def note(moment: str) -> Callable[..., None]:
            return lambda *_, **__: seen.append(f"{name} {moment}")

        hooks = {f"{moment}_process_message": note(moment) for moment in ("before", "after")}
        return cast(Middleware, type(name, (Middleware,), hooks)())

    first, second = part("first"), part("second")
    lab.broker.add_middleware(second)
    lab.broker.add_middleware(first, before=type(second))
    lab.broker.add_middleware(part("third"), after=type(first))
    work = lab.actor()
    work.send(1)
    lab.work(work)
    return seen


@probe("retries are sent with the hooks of a message")
def _(lab: Lab) -> object:
    delays: list[int] = []

    class Delays(Middleware):
        def after_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
            if delay is not None:
                delays.append(message.options["retries"])

    lab.broker.add_middleware(Delays())
    work = lab.actor(failing(2), **{**QUICK, "max_retries": 2})
    work.send(1)
    lab.work(work)
    return delays


@probe("the same part twice is refused or taken as by dramatiq")
def _(lab: Lab) -> object:
    part = type("Part", (Middleware,), {})
    lab.broker.add_middleware(part())
    lab.broker.add_middleware(part())
    return sum(type(one) is part for one in lab.broker.middleware)


# --- sending ------------------------------------------------------------------------------------------------------

ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "none": ((), {}),
    "a number": ((1,), {}),
    "a float": ((1.5,), {}),
    "a large number": ((2**70,), {}),
    "text": (('schön ☃ \u0000 " \\',), {}),
    "a lone surrogate": (("\ud800",), {}),
    "None and booleans": ((None, True, False), {}),
    "lists and dictionaries": (([1, [2]], {"a": {"b": []}}), {}),
    "a tuple": (((1, 2),), {}),
    "keywords": ((), {"a": 1, "b": "two"}),
    "both": ((1,), {"b": 2}),
    "a dictionary with numbers as keys": (({1: 2},), {}),
    "a text of a megabyte": (("x" * 2**20,), {}),
}


def _sends(lab: Lab, arguments: tuple[Any, ...], more: dict[str, Any]) -> object:
    work = lab.actor()
    sent = work.send(*arguments, **more)
    lab.work(work)
    return [
        len(json.dumps(lab.ran)) if len(str(lab.ran)) > 10_000 else lab.ran,
        sent.args,
        sent.kwargs,
        sent.queue_name,
    ]


for _name, (_arguments, _more) in ARGUMENTS.items():
    add(f"arguments: {_name}", _sends, _arguments, _more)

DELAYS: dict[str, Any] = {"0": 0, "50 ms": 50, "a timedelta": timedelta(milliseconds=50), "a float": 50.5}


def _delayed(lab: Lab, delay: Any) -> object:
    at: list[float] = []
    work = lab.actor(lambda: at.append(time.time()))
    began = time.time()
    sent = work.send_with_options(delay=delay)
    lab.work(work)
    wanted = delay.total_seconds() if isinstance(delay, timedelta) else delay / 1000
    return [len(at), at[0] - began >= wanted - 0.001, "eta" in sent.options]


for _name, _delay in DELAYS.items():
    add(f"delay: {_name}", _delayed, _delay)


@probe("arguments that are no JSON are refused at send")
def _(lab: Lab) -> object:
    work = lab.actor()
    refused = []
    for value in (object(), {1, 2}, b"bytes", timedelta(1)):
        try:
            work.send(value)
        except Exception as error:
            refused.append(type(error).__name__)
    lab.work(work)
    return [refused, lab.ran]


@probe("a message that is sent twice runs twice and keeps its id")
def _(lab: Lab) -> object:
    ids: list[str] = []
    work = lab.actor(lambda: ids.append(CurrentMessage.get_current_message().message_id))  # type: ignore[union-attr]
    message = work.message()
    sent = [lab.broker.enqueue(message).message_id for _ in range(2)]
    lab.work(work)
    return [[id_ == message.message_id for id_ in sent], [id_ == message.message_id for id_ in ids]]


@probe("an actor sends its own message again with a delay")
def _(lab: Lab) -> object:
    def act(number: int) -> None:
        message = CurrentMessage.get_current_message()
        if message and not message.options.get("again"):
            lab.broker.enqueue(message.copy(options={"again": True}), delay=5)

    work = lab.actor(act)
    work.send(1)
    lab.work(work)
    return lab.outcome()


@probe("options of a message are kept")
def _(lab: Lab) -> object:
    seen: list[Any] = []
    work = lab.actor(lambda: seen.append(CurrentMessage.get_current_message().options))  # type: ignore[union-attr]
    work.send_with_options(color="red", max_retries=7)
    lab.work(work)
    return [{key: options[key] for key in ("color", "max_retries")} for options in seen]


@probe("an eta that is no number does not keep a message from running")
def _(lab: Lab) -> object:
    work = lab.actor()
    lab.broker.enqueue(work.message(1).copy(options={"eta": "tomorrow"}))
    lab.work(work)
    return lab.outcome()


@probe("a message that comes back is the one that was sent")
def _(lab: Lab) -> object:
    work = lab.actor()
    before = work.message(1, a=2)
    after = lab.broker.enqueue(before)
    same = ("queue_name", "actor_name", "args", "kwargs", "message_id", "message_timestamp")
    return [getattr(after, name) == getattr(before, name) for name in same]


@probe("actors with queues of their own")
def _(lab: Lab) -> object:
    one, two = lab.actor(name="one", queue_name="first"), lab.actor(name="two", queue_name="second")
    one.send(1)
    two.send(2)
    lab.work(one, two)
    return [sorted(lab.ran), sorted(queue for queue in lab.broker.get_declared_queues())]


@probe("a generic actor")
def _(lab: Lab) -> object:
    ran: list[Any] = []

    class Task(dramatiq.GenericActor):
        class Meta:
            broker = lab.broker
            abstract = True
            max_retries = 0

        def perform(self, number: int) -> None:
            ran.append([self.get_task_name(), number])

        def get_task_name(self) -> str:
            raise NotImplementedError

    class Foo(Task):
        def get_task_name(self) -> str:
            return "foo"

    Foo.send(1)
    lab.work()
    return [ran, Foo.options["max_retries"], Foo.actor_name]


@probe("an actor can be called as a function")
def _(lab: Lab) -> object:
    return [lab.actor(lambda number: number + 1)(1), lab.ran]


@probe("two actors of one name are refused")
def _(lab: Lab) -> object:
    lab.actor()
    with pytest.raises(ValueError) as raised:
        lab.actor()
    return str(raised.value)


@probe("an invalid name of a queue is refused")
def _(lab: Lab) -> object:
    with pytest.raises(ValueError) as raised:
        lab.actor(queue_name="no queue!")
    return str(raised.value)


@probe("an encoder of one's own")
def _(lab: Lab) -> object:
    before = dramatiq.get_encoder()
    dramatiq.set_encoder(dramatiq.PickleEncoder())
    try:
        work = lab.actor(failing(1), **{**QUICK, "max_retries": 1})
        work.send(timedelta(1))
        lab.work(work)
    finally:
        dramatiq.set_encoder(before)
    return [[str(argument) for argument in arguments] for arguments in lab.ran]


# --- results ------------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "a number": 42,
    "text": "☃",
    "None": None,
    "False": False,
    "an empty list": [],
    "a dictionary": {"a": [1, {"b": None}]},
}


def _result(lab: Lab, value: Any, **options: Any) -> object:
    work = lab.actor(lambda: value, store_results=True, **options)
    sent = work.send()
    lab.work(work)
    return sent.get_result(backend=lab.results, block=True, timeout=1000)


for _name, _value in VALUES.items():
    add(f"result: {_name}", _result, _value)


def _failure(lab: Lab, times: int, **options: Any) -> object:
    work = lab.actor(failing(times), **{**QUICK, "store_results": True, **options})
    sent = work.send()
    lab.work(work)
    try:
        return sent.get_result(backend=lab.results)
    except ResultFailure as error:
        return [str(error), error.orig_exc_type, error.orig_exc_msg]
    except ResultMissing:
        return "missing"


RESULTS_OF_FAILURES: dict[str, tuple[int, dict[str, Any]]] = {
    "at the only attempt": (9, {"max_retries": 0}),
    "at the last attempt": (9, {"max_retries": 2}),
    "before a success": (1, {"max_retries": 2}),
    "that the actor throws": (9, {"max_retries": 2, "throws": Oh}),
    "that retry_when refuses": (9, {"retry_when": lambda *_: False}),
    "without store_results": (9, {"max_retries": 0, "store_results": False}),
}
for _name, (_times, _options) in RESULTS_OF_FAILURES.items():
    add(f"result of a failure: {_name}", _failure, _times, **_options)


@probe("a result that is asked for by a copy of the message")
def _(lab: Lab) -> object:
    work = lab.actor(lambda: 7, store_results=True)
    sent = work.send()
    lab.work(work)
    return dramatiq.Message.decode(sent.encode()).get_result(backend=lab.results)


@probe("store_results of a message")
def _(lab: Lab) -> object:
    work = lab.actor(lambda: 7)
    sent = work.send_with_options(store_results=True)
    lab.work(work)
    return sent.get_result(backend=lab.results)


@probe("a result can be forgotten")
def _(lab: Lab) -> object:
    work = lab.actor(lambda: 7, store_results=True)
    sent = work.send()
    lab.work(work)
    backend = lab.results
    first = backend.get_result(sent, forget=True)
    with pytest.raises(ResultMissing):
        backend.get_result(sent)
    return first


# --- composition --------------------------------------------------------------------------------------------------


def _adding(lab: Lab) -> Any:
    return lab.actor(lambda *numbers: sum(number or 0 for number in numbers), store_results=True, max_retries=0)


def _pipeline(lab: Lab, build: Callable[[Any], list[Any]], **options: Any) -> object:
    work = _adding(lab)
    pipe = pipeline(build(work), broker=lab.broker).run(**options)
    lab.work(work)
    return [lab.ran, _collected(lab, pipe.messages)]


def _collected(lab: Lab, messages: list[Any]) -> list[Any]:
    found: list[Any] = []
    for message in messages:
        try:
            found.append(message.get_result(backend=lab.results))
        except (ResultMissing, ResultFailure) as error:
            found.append(type(error).__name__)
    return found


PIPELINES: dict[str, Callable[[Any], list[Any]]] = {
    "one message": lambda work: [work.message(1)],
    "two messages": lambda work: [work.message(1), work.message(2)],
    "four messages": lambda work: [work.message(number) for number in range(1, 5)],
    "one that ignores the result": lambda work: [
        work.message(1),
        work.message_with_options(args=(2,), pipe_ignore=True),
        work.message(3),
    ],
}
for _name, _build in PIPELINES.items():
    add(f"pipeline: {_name}", _pipeline, _build)
    add(f"pipeline with a delay: {_name}", _pipeline, _build, delay=20)


@probe("a pipeline ends at a failure")
def _(lab: Lab) -> object:
    work = lab.actor(lambda number, *_: number // 0 if number == 2 else number, store_results=True, max_retries=0)
    pipe = pipeline([work.message(1), work.message(2), work.message(3)], broker=lab.broker).run()
    lab.work(work)
    return [lab.ran, lab.dead(), _collected(lab, pipe.messages)]


@probe("a pipeline goes on after a retry")
def _(lab: Lab) -> object:
    fail = failing(1)
    first = lab.actor(lambda number: fail() and number, "first", **{**QUICK, "max_retries": 2})
    second = lab.actor(name="second")
    pipeline([first.message(1), second.message(2)], broker=lab.broker).run()
    lab.work(first, second)
    return lab.outcome()


@probe("a group of messages has all results")
def _(lab: Lab) -> object:
    work = _adding(lab)
    sent = group([work.message(number) for number in range(5)], broker=lab.broker).run()
    lab.work(work)
    return [sorted(lab.ran), _collected(lab, sent.children), len(sent)]


@probe("a group with a failure")
def _(lab: Lab) -> object:
    work = lab.actor(lambda number: 1 // number, store_results=True, max_retries=0)
    sent = group([work.message(0), work.message(1)], broker=lab.broker).run()
    lab.work(work)
    return [sorted(lab.ran), _collected(lab, sent.children), lab.dead()]


@probe("a group of pipelines")
def _(lab: Lab) -> object:
    work = _adding(lab)
    pipes = [pipeline([work.message(number), work.message(10)], broker=lab.broker) for number in range(3)]
    group(pipes, broker=lab.broker).run()
    lab.work(work)
    return sorted(lab.ran)


@probe("a group of groups")
def _(lab: Lab) -> object:
    work = _adding(lab)
    inner = [group([work.message(number)], broker=lab.broker) for number in range(3)]
    group(inner, broker=lab.broker).run()
    lab.work(work)
    return sorted(lab.ran)


@probe("a group with a delay")
def _(lab: Lab) -> object:
    work = _adding(lab)
    group([work.message(number) for number in range(3)], broker=lab.broker).run(delay=20)
    lab.work(work)
    return sorted(lab.ran)


def _callbacks_of_group(lab: Lab, times: int, retries: int) -> object:
    work = lab.actor(failing(times), **{**QUICK, "max_retries": retries})
    done = lab.actor(name="done")
    sent = group([work.message(number) for number in range(3)], broker=lab.broker)
    sent.add_completion_callback(done.message("all"))
    sent.run()
    lab.work(work, done)
    return [sorted(map(str, lab.ran)), lab.dead()]


for _name, (_times, _count) in {"success": (0, 0), "a retry": (1, 1), "a dead letter": (1, 0)}.items():
    add(f"the callback of a group with {_name}", _callbacks_of_group, _times, _count)


# --- callbacks ----------------------------------------------------------------------------------------------------


def _callbacks(lab: Lab, times: int, retries: int) -> object:
    told: list[Any] = []

    def on_success(message: dict[str, Any], result: Any) -> None:
        told.append(["success", message["args"], sorted(message), result])

    def on_failure(message: dict[str, Any], error: dict[str, str]) -> None:
        options = message["options"]
        told.append(
            ["failure", message["args"], sorted(message), error, options.get("retries"), "traceback" in options]
        )

    good, bad = lab.actor(on_success, "good"), lab.actor(on_failure, "bad")
    work = lab.actor(failing(times), **{**QUICK, "max_retries": retries})
    work.send_with_options(args=(1,), on_success=good, on_failure=bad)
    lab.work(work, good, bad)
    return sorted(map(str, told))


for _times in range(4):
    for _count in (0, 1, 2):
        add(f"callbacks after {_times} failures and at most {_count} retries", _callbacks, _times, _count)


# --- async, limits -----------------------------------------------------------------------------------------------


def _async(lab: Lab, times: int, **options: Any) -> object:
    lab.broker.add_middleware(AsyncIO()) if not any(type(p) is AsyncIO for p in lab.broker.middleware) else None
    fail, seen = failing(times), list[Any]()

    async def act(number: int) -> Any:
        await asyncio.sleep(0)
        seen.append([number, current()["retries"]])
        return fail()

    work = dramatiq.actor(broker=lab.broker, actor_name="work", **{**QUICK, "store_results": True, **options})(act)
    sent = work.send(1)
    lab.work(work)
    return [seen, lab.dead(), _collected(lab, [sent])]


ASYNC: dict[str, tuple[int, dict[str, Any]]] = {
    "success": (0, {}),
    "a retry": (1, {"max_retries": 2}),
    "failure": (9, {"max_retries": 1}),
    "throws": (9, {"throws": Oh}),
}
for _name, (_times, _options) in ASYNC.items():
    add(f"an async actor: {_name}", _async, _times, **_options)


def _limited(lab: Lab, make: Callable[[Any], Any]) -> object:
    limiter, done = make(lab.limits), list[int]()

    def act(number: int) -> None:
        with limiter.acquire():
            time.sleep(0.05)
            done.append(number)

    work = lab.actor(act, max_retries=None, min_backoff=20, max_backoff=40)
    for number in range(3):
        work.send(number)
    lab.work(work)
    return [sorted(done), lab.dead()]


LIMITERS: dict[str, Callable[[Any], Any]] = {
    "concurrent": lambda backend: ConcurrentRateLimiter(backend, "mutex", limit=1),
    "bucket": lambda backend: BucketRateLimiter(backend, "bucket", limit=1, bucket=100),
    "window": lambda backend: WindowRateLimiter(backend, "window", limit=2, window=1),
}
for _name, _make in LIMITERS.items():
    add(f"a limiter of dramatiq: {_name}", _limited, _make)


# --- one's own worker and broker -----------------------------------------------------------------------------------


@probe("join of an empty queue, and of one that does not exist")
def _(lab: Lab) -> object:
    lab.actor()
    lab.broker.join("default", timeout=1000)
    with suppress(Exception):
        lab.broker.join("other", timeout=100)
        return "no error"
    return "an error"


@probe("join of a queue that nobody consumes times out")
def _(lab: Lab) -> object:
    lab.actor().send(1)
    with pytest.raises(Exception) as raised:
        lab.broker.join("default", timeout=100)
    return type(raised.value).__name__


@probe("an actor is found by its name, and an unknown one is not")
def _(lab: Lab) -> object:
    work = lab.actor()
    with pytest.raises(Exception) as raised:
        lab.broker.get_actor("nobody")
    return [lab.broker.get_actor("work") is work, type(raised.value).__name__, sorted(lab.broker.get_declared_actors())]


@pytest.mark.parametrize("name", PROBES)
def test_probe(lab: Lab, name: str) -> None:
    """Add the observation to the file; fails only if there is none."""
    observation = PROBES[name](lab)
    with OBSERVATIONS.open("a") as file:
        file.write(json.dumps([MODE, name, observation], default=str) + "\n")
