"""How a message ended, whatever its actor did, and what the log says of it."""

from __future__ import annotations

import gc
import json
import logging
import weakref
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import SkipMessage, TimeLimitExceeded
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.errors import ExpectedError, PermanentError, Snooze
from tandem.broker.store import Outcome
from tandem.testing.stopped_clock import Clock
from tandem.worker.executor import Executor
from tandem.worker.job import should_yield
from tests.unit.harness import broker_on, send


def run(broker: Broker, act: Callable[..., Any] | None = None, **options: Any) -> Outcome:
    """The outcome of one message of an actor that does this."""
    if act:
        dramatiq.actor(broker=broker, actor_name="work", **options)(act)
    send(broker, "a")
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    return Executor(broker).run(delivery)


class Late(dramatiq.Middleware):
    """The time limit comes when the actor has ended already."""

    def __init__(self) -> None:
        self.came = 0

    def after_process_message(self, *_: Any, **__: Any) -> None:
        self.came += 1
        if self.came == 1:
            raise TimeLimitExceeded


class Rejects(dramatiq.Middleware):
    """Fails every message, in the way that middleware of dramatiq does."""

    def __init__(self, when: str) -> None:
        self._skip = when == "skip"
        setattr(self, "before_process_message" if self._skip else when, self._reject)

    def _reject(self, _broker: Any, message: Any, **_: Any) -> None:
        message.fail()
        if self._skip:
            raise SkipMessage


class Ends(dramatiq.Middleware):
    """Notes the calls of the middleware's hooks."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def after_process_message(self, *_: Any, result: object = None, exception: BaseException | None = None) -> None:
        self.seen.append(exception or result)

    def after_skip_message(self, *_: Any) -> None:
        self.seen.append("skipped")


def test_a_message_is_handled_when_its_actor_returns(redis_: FakeRedis) -> None:
    ends = Ends()
    broker = broker_on(redis_, "w", ends)
    ended = run(broker, lambda name: name + "!")
    assert (ended.result, ended.actor, ended.delivery.id) == ("completed", "work", "a")
    assert ends.seen == ["a!"]
    assert broker.in_flight.ended == 1 and broker.in_flight.running() == []


def test_waiting_and_running_times_are_recorded(
    redis_: FakeRedis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = broker_on(redis_)
    ticks = 0.0
    monkeypatch.setattr("tandem.worker.executor.time.monotonic", lambda: ticks)

    def act(_: str) -> None:
        nonlocal ticks
        ticks += 3

    dramatiq.actor(broker=broker, actor_name="work")(act)
    send(broker, "a")
    clock.forward(2)
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    ended = Executor(broker).run(delivery)
    assert (round(ended.waited, 3), ended.ran) == (2, 3)


def test_a_delayed_message_waits_from_when_it_is_due(redis_: FakeRedis, clock: Clock) -> None:
    broker = broker_on(redis_)
    dramatiq.actor(broker=broker, actor_name="work")(lambda: None)
    broker.enqueue(broker.get_actor("work").message(), delay=60_000)
    clock.forward(61)
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    assert round(Executor(broker).run(delivery).waited, 3) == 1


def test_a_message_that_is_skipped_counts_as_handled(redis_: FakeRedis) -> None:
    def act(_: str) -> None:
        raise SkipMessage

    ends = Ends()
    broker = broker_on(redis_, "w", ends)
    assert run(broker, act).result == "completed"
    assert ends.seen == ["skipped"]
    assert broker.in_flight.ended == 1 and broker.in_flight.running() == []


def test_an_interruption_after_the_end_is_swallowed_once(redis_: FakeRedis) -> None:
    late, ends = Late(), Ends()
    broker = broker_on(redis_, "w", ends, late)
    assert run(broker, lambda _: 7).result == "completed"
    assert late.came == 2 and ends.seen == [7]
    assert broker.in_flight.ended == 1 and broker.in_flight.running() == []


def test_an_interruption_while_an_error_is_logged_ends_the_attempt_and_nothing_else(
    redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(_: str) -> None:
        raise ValueError("no")

    def interrupt(*_: object, **__: object) -> None:
        raise TimeLimitExceeded

    ends = Ends()
    broker = broker_on(redis_, "w", ends)
    monkeypatch.setattr("tandem.worker.executor.logger.error", interrupt)
    ended = run(broker, act)
    assert ended.result == "retried"
    assert [type(error) for error in ends.seen] == [TimeLimitExceeded]
    assert broker.in_flight.ended == 1 and broker.in_flight.running() == []


@pytest.mark.parametrize(("leaving", "place"), [(False, "tail"), (True, "head")])
def test_the_rest_of_a_message_goes_before_all_others_when_its_worker_leaves(
    redis_: FakeRedis, clock: Clock, leaving: bool, place: str
) -> None:
    def act(_: str) -> None:
        clock.forward(5)
        raise Snooze(progress=1)

    broker = broker_on(redis_)
    if leaving:
        broker.draining.set()
    ended = run(broker, act)
    assert (ended.result, ended.detail) == ("snoozed", place)
    options = json.loads(ended.payload)["options"]
    # No attempt, and its waiting time starts again.
    assert options == {"eta": clock.milliseconds, "progress": 1, "snoozed": True}
    assert broker.in_flight.failures_in_a_row == 0


def test_work_that_cannot_begin_yet_is_put_off_without_an_attempt(redis_: FakeRedis, clock: Clock) -> None:
    def act(_: str) -> None:
        raise Snooze(delay=5000)

    broker = broker_on(redis_)
    ended = run(broker, act)
    assert (ended.result, ended.detail) == ("snoozed", "5000")
    assert json.loads(ended.payload)["options"] == {"eta": clock.milliseconds + 5000, "snoozed": True}
    assert broker.in_flight.failures_in_a_row == 0


def test_a_message_pauses_before_a_step_that_would_go_beyond_its_limit(
    redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = broker_on(redis_)  # a limit of 60 s
    monkeypatch.setattr(dramatiq, "get_broker", lambda: broker)
    seen: list[bool] = []

    def act(_: str) -> None:
        seen.extend([should_yield(50), should_yield(61), should_yield(61, begun=False)])
        broker.draining.set()
        seen.extend([should_yield(0), should_yield(0, begun=False)])
        broker.over_memory_limit.set()
        seen.extend([should_yield(0), should_yield(0, begun=False)])

    assert not should_yield(10**6)  # nothing runs
    run(broker, act)
    assert seen == [False, True, False, True, True, True, False]


def test_an_error_keeps_nothing_of_the_actor_alive(redis_: FakeRedis, caplog: pytest.LogCaptureFixture) -> None:
    class Big:
        pass

    seen: list[weakref.ref[Big]] = []

    def act(_: str) -> None:
        big = Big()
        seen.append(weakref.ref(big))
        raise ValueError("no")

    gc.disable()
    try:
        with caplog.at_level(logging.CRITICAL, "tandem.worker"):  # a record would keep it
            run(broker_on(redis_), act)
        assert seen[0]() is None
    finally:
        gc.enable()


# --- the log -----------------------------------------------------------------------------------------------------


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("tandem.worker")]


def test_the_log_has_start_and_end(redis_: FakeRedis, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tandem.worker"):
        run(broker_on(redis_), lambda _: None)
    started, ended = texts(caplog)
    assert started == "started, attempt 1"
    assert ended.startswith("completed in 0.")


@pytest.mark.parametrize("max_retries", [0, 1])
def test_every_line_about_a_message_names_it(
    redis_: FakeRedis, caplog: pytest.LogCaptureFixture, max_retries: int
) -> None:
    from tandem import logs

    seen: list[object] = []

    class Context(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            seen.append(logs._context.get())
            return True

    def act(_: str) -> None:
        logging.getLogger("app.anything").warning("I say so")
        raise ValueError("no")

    context = Context()
    caplog.handler.addFilter(context)
    try:
        with caplog.at_level(logging.INFO, "tandem"):
            run(broker_on(redis_, max_retries=max_retries), act)
    finally:
        caplog.handler.removeFilter(context)
    gave_up = "attempt 1 failed" if max_retries else "gave up after attempt 1"
    assert [record.getMessage()[: len(gave_up)] for record in caplog.records][3] == gave_up
    assert len(seen) == 5  # started, I say so, failed, gave up, result
    assert {str(fields) for fields in seen} == {str({"message_id": "a", "actor": "work"})}
    assert logs._context.get() is None


@pytest.mark.parametrize(("error", "notified"), [(ValueError("no"), True), (ExpectedError("no"), False)])
def test_only_an_unexpected_error_is_logged_with_its_traceback(
    redis_: FakeRedis, caplog: pytest.LogCaptureFixture, error: Exception, notified: bool
) -> None:
    def act(_: str) -> None:
        raise error

    run(broker_on(redis_), act)
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.WARNING] == (
        [True, False] if notified else [False]
    )


def test_an_error_of_throws_is_expected(redis_: FakeRedis, caplog: pytest.LogCaptureFixture) -> None:
    def act(_: str) -> None:
        raise KeyError("no")

    with caplog.at_level(logging.INFO, "tandem.worker"):
        assert run(broker_on(redis_), act, throws=KeyError).result == "failed"
    assert [(record.levelname, record.getMessage()) for record in caplog.records if "gave up" in record.msg] == [
        ("INFO", "gave up after attempt 1: KeyError: 'no'")
    ]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_traceback_begins_at_the_actor(redis_: FakeRedis, caplog: pytest.LogCaptureFixture) -> None:
    def act(_: str) -> None:
        try:
            int("x")
        except ValueError:
            "".index("y")

    ended = run(broker_on(redis_, max_retries=0), act)

    seen = json.loads(ended.payload)["options"]["traceback"]
    (logged,) = [record.exc_text for record in caplog.records if record.exc_info]
    for text in (seen, logged):
        assert text and text.startswith("Traceback (most recent call last):")
        assert "in act" in text and "substring not found" in text and "invalid literal" in text
        assert "tandem/worker" not in text and "dramatiq" not in text


def test_a_traceback_that_never_came_to_the_actor_stays_whole(redis_: FakeRedis) -> None:
    def act() -> None: ...

    ended = run(broker_on(redis_, max_retries=0), act)

    seen = json.loads(ended.payload)["options"]["traceback"]
    assert "in __call__" in seen and "takes 0 positional arguments but 1 was given" in seen


def test_a_worker_that_has_lost_the_message_does_not_call_on_failed(redis_: FakeRedis) -> None:
    notified: list[str] = []

    def lose_it(_: str) -> None:
        redis_.hincrby(keys.deliveries("default"), "a", 1)
        raise PermanentError("no")

    run(broker_on(redis_), lose_it, on_failed=lambda message, _error: notified.append(message.message_id))

    assert notified == []


@pytest.mark.parametrize("when", ["before_process_message", "after_process_message", "skip"])
def test_a_message_that_a_middleware_has_failed_becomes_a_dead_letter(redis_: FakeRedis, when: str) -> None:
    failed: list[str] = []
    broker = broker_on(redis_, "w", Rejects(when))

    ended = run(broker, lambda _: None, on_failed=lambda message, error: failed.append(type(error).__name__))

    assert (ended.result, ended.detail) == ("failed", "work\tRejected")
    assert "message.fail()" in json.loads(ended.payload)["options"]["attempts"][-1]["message"]
    assert failed == ["Rejected"]


def test_a_message_that_a_middleware_only_skips_is_handled(redis_: FakeRedis) -> None:
    class Skips(dramatiq.Middleware):
        def before_process_message(self, *_: Any) -> None:
            raise SkipMessage

    assert run(broker_on(redis_, "w", Skips()), lambda _: None).result == "completed"


def test_a_second_retries_is_refused_with_the_options_that_there_are(redis_: FakeRedis) -> None:
    broker = broker_on(redis_)
    with pytest.raises(TypeError, match="max_retries, min_backoff"):
        broker.add_middleware(dramatiq.middleware.Retries())
    assert run(broker, lambda _: 1 / 0).result == "retried"
