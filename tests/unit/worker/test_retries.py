"""Retries: when they happen, when there are none, what a dead letter keeps, and the call of on_failed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed, RateLimitExceeded, Retry
from dramatiq.middleware import Shutdown
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import StubBackend
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.errors import PermanentError
from tandem.broker.store import Outcome
from tandem.testing.stopped_clock import Clock
from tandem.worker import attempt as attempts
from tandem.worker.age_limit import AgeLimit
from tandem.worker.attempt import Attempt
from tandem.worker.executor import Executor
from tandem.worker.retries import Retries
from tests.unit.harness import FIRST, broker_on, places, send

WEEK = 7 * 24 * 3600 * 1000


class Failing:
    """An actor whose attempts all fail, and its messages."""

    def __init__(self, client: FakeRedis, clock: Clock) -> None:
        self.redis = client
        self.clock = clock
        self.error: Callable[[], BaseException] = lambda: ValueError("no")
        self.outcomes: list[Outcome] = []

    def attempts(self, max_retries: int = 3, message_options: dict[str, Any] | None = None, **options: Any) -> None:
        """Sends one message and lets it run until it is a dead letter or was tried ten times."""
        self.attempts_of(self.broker(max_retries), message_options, **options)

    def attempts_of(self, broker: Broker, message_options: dict[str, Any] | None = None, **options: Any) -> None:
        """Does the same on this broker; `options` are the actor's."""

        @dramatiq.actor(broker=broker, **options)
        def work() -> None:
            raise self.error()

        work.send_with_options(**(message_options or {}))
        for _ in range(10):
            self._attempt(work.broker)
            if self.outcomes[-1].result == "failed":
                break
            self.clock.forward(float(self.outcomes[-1].detail) / 1000 + 0.001)

    def broker(self, max_retries: int = 3) -> Broker:
        return broker_on(self.redis, max_retries=max_retries)

    def _attempt(self, broker: Any) -> None:
        ((delivery,), _) = broker.store.claim_batch(("default",), 1)
        outcome = Executor(broker).run(delivery)
        assert broker.store.ack("default", [outcome]) == set()
        self.outcomes.append(outcome)

    @property
    def delays(self) -> list[int]:
        return [int(outcome.detail) for outcome in self.outcomes if outcome.result == "retried"]

    @property
    def letter(self) -> dict[str, Any]:
        """The options of the only dead letter."""
        store: Any = self.redis
        (payload,) = store.hvals(keys.dead_payloads("default"))
        assert list(places(self.redis).values()) == ["dead"]
        options: dict[str, Any] = json.loads(payload)["options"]
        return options


@pytest.fixture
def failing(redis_: FakeRedis, clock: Clock) -> Failing:
    return Failing(redis_, clock)


def about(delay: int, nominal: int) -> bool:
    return 0.9 * nominal <= delay <= 1.1 * nominal


# --- when --------------------------------------------------------------------------------------------------------


def test_delays_grow_from_one_retry_to_the_next(failing: Failing) -> None:
    failing.attempts()
    assert [outcome.result for outcome in failing.outcomes] == ["retried", "retried", "retried", "failed"]
    assert all(about(*pair) for pair in zip(failing.delays, [1000, 2000, 4000], strict=True))


def test_messages_that_fail_together_are_not_retried_together(failing: Failing) -> None:
    delays = set()
    for _ in range(20):
        failing.attempts(max_retries=1)
        delays.add(failing.delays[-1])
    assert len(delays) > 5
    assert all(about(delay, 1000) for delay in delays)


def test_an_actor_chooses_its_own(failing: Failing) -> None:
    failing.attempts(max_retries=9, message_options={}, retry_delay=50, retry_multiplier=10)
    assert len(failing.delays) == 9
    assert all(about(*pair) for pair in zip(failing.delays[:3], [50, 500, 5000], strict=True))


def test_a_message_chooses_before_its_actor(failing: Failing) -> None:
    failing.attempts(message_options={"max_retries": 2, "retry_delay": 70, "retry_multiplier": 1}, retry_delay=50)
    assert len(failing.delays) == 2
    assert all(about(delay, 70) for delay in failing.delays)


def test_an_actors_limit_goes_before_the_one_of_all(redis_: FakeRedis, failing: Failing) -> None:
    broker = failing.broker()

    @dramatiq.actor(broker=broker, max_retries=1)
    def work() -> None:
        raise ValueError

    message = work.message()
    failing.error = ValueError
    assert work.options["max_retries"] == 1
    broker.enqueue(message)
    failing._attempt(broker)
    failing.clock.forward(2)
    failing._attempt(broker)
    assert [outcome.result for outcome in failing.outcomes] == ["retried", "failed"]


def test_no_retry_where_none_is_wanted(failing: Failing) -> None:
    failing.attempts(max_retries=0)
    assert [outcome.result for outcome in failing.outcomes] == ["failed"]


def test_no_delay_is_longer_than_a_week(failing: Failing) -> None:
    failing.attempts(max_retries=9, retry_delay=1000, retry_multiplier=10_000)
    assert failing.delays[-1] == WEEK


def test_an_error_that_no_retry_can_mend_is_final_at_once(failing: Failing) -> None:
    failing.error = lambda: PermanentError("never")
    failing.attempts()
    assert failing.delays == []
    assert failing.outcomes[0].detail == "work\tPermanentError"


@pytest.mark.parametrize("throws", [KeyError, (KeyError, ZeroDivisionError)])
def test_what_an_actor_throws_on_purpose_is_final_at_once(failing: Failing, throws: Any) -> None:
    failing.error = lambda: KeyError("gone")
    failing.attempts(throws=throws)
    assert [outcome.result for outcome in failing.outcomes] == ["failed"]


def test_an_actor_can_say_when(failing: Failing) -> None:
    failing.error = lambda: Retry("later", delay=123)
    failing.attempts(max_retries=2)
    assert failing.delays == [123, 123]
    assert failing.outcomes[-1].result == "failed"


def test_an_actor_that_does_not_say_when_has_the_usual_delay(failing: Failing) -> None:
    failing.error = lambda: Retry("later")
    failing.attempts(max_retries=1)
    assert about(failing.delays[0], 1000)


# --- what is kept ------------------------------------------------------------------------------------------------


def test_every_attempt_is_on_record(failing: Failing) -> None:
    texts = iter(["one", "two", "three", "four"])
    failing.error = lambda: ValueError(next(texts))
    failing.attempts()

    letter = failing.letter
    assert [attempt["message"] for attempt in letter["attempts"]] == ["one", "two", "three", "four"]
    assert {(attempt["worker"], attempt["error"]) for attempt in letter["attempts"]} == {
        ("host:worker_00", "ValueError")
    }
    assert all(datetime.fromisoformat(attempt["at"]).tzinfo for attempt in letter["attempts"])
    assert letter["attempt_count"] == 4


def test_the_newest_twenty_attempts_are_kept_and_all_are_counted(failing: Failing) -> None:
    message = Attempt(dramatiq.Message("default", "work", (), {}, {}))
    for number in range(25):
        message.note(ValueError("x" * 5000 if number == 24 else str(number)), "w")
    kept = message.options["attempts"]
    assert [attempt["message"][:5] for attempt in kept] == [*map(str, range(5, 24)), "xxxxx"]
    assert message.options["attempt_count"] == 25
    assert len(kept[-1]["message"]) == 2000


def test_a_dead_letter_says_why_and_when(failing: Failing, redis_: FakeRedis) -> None:
    failing.attempts(max_retries=1)
    letter = failing.letter
    assert letter["traceback"].endswith("ValueError: no\n")
    assert datetime.fromisoformat(letter["failed_at"]).tzinfo
    assert "eta" not in letter
    assert redis_.hgetall(keys.dead_counts("default")) == {b"work\tValueError": b"1"}


def test_a_traceback_keeps_its_end(failing: Failing) -> None:
    def dig(depth: int) -> BaseException:
        if depth:
            return dig(depth - 1)
        raise ValueError("y" * 30_000 + "the end")

    failing.error = lambda: dig(50)
    failing.attempts(max_retries=0)
    assert len(failing.letter["traceback"]) == attempts.MAX_TRACEBACK_LENGTH
    assert failing.letter["traceback"].endswith("the end\n")


def test_a_message_of_an_unknown_actor_becomes_a_dead_letter(redis_: FakeRedis, failing: Failing) -> None:
    broker = failing.broker()
    send(broker, "a", actor="nobody")
    failing._attempt(broker)
    assert failing.outcomes[0].detail == "nobody\tActorNotFound"
    assert "nobody" in failing.letter["attempts"][0]["message"]
    assert broker.in_flight.ended == 1


GOOD = json.loads(dramatiq.Message("default", "work", (), {}, {}).encode())


@pytest.mark.parametrize(
    "payload",
    [
        "garbage",
        "",
        "null",
        "[]",
        '{"args": []}',
        json.dumps(GOOD | {"surprise": 1}),
        json.dumps(GOOD | {"options": None}),
        json.dumps(GOOD | {"options": []}),
        json.dumps(GOOD | {"kwargs": None}),
        json.dumps(GOOD | {"message_timestamp": "now"}),
        json.dumps(GOOD | {"actor_name": None}),
    ],
)
def test_an_undecodable_payload_becomes_a_dead_letter_unchanged(
    redis_: FakeRedis, failing: Failing, caplog: pytest.LogCaptureFixture, payload: str
) -> None:
    store: Any = redis_
    broker = failing.broker()
    broker.store.enqueue("default", "a", payload.encode(), None)
    failing._attempt(broker)
    assert places(redis_) == {"a": "dead"}
    assert store.hgetall(keys.dead_payloads("default")) == {b"a": payload.encode()}
    assert store.hgetall(keys.dead_counts("default")) == {b"?\tDecodeError": b"1"}
    assert broker.in_flight.ended == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the message a of default cannot be decoded: it becomes a dead letter"
    ]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"retries": "some"}, "ValueError"),
        ({"retry_delay": "long"}, "ValueError"),
        ({"max_retries": "5"}, "ValueError"),
        ({"attempts": 5, "max_retries": 0}, "ValueError"),
    ],
)
def test_a_message_with_options_of_wrong_types_becomes_a_dead_letter_of_its_actor_with_the_reason(
    redis_: FakeRedis, failing: Failing, options: dict[str, Any], error: str
) -> None:
    store: Any = redis_
    broker = failing.broker()

    @dramatiq.actor(broker=broker)
    def work() -> None:
        raise ValueError("no")

    payload = json.dumps(GOOD | {"options": options, "message_id": "a"}).encode()
    broker.store.enqueue("default", "a", payload, None)
    failing._attempt(broker)
    assert places(redis_) == {"a": "dead"}
    letter = json.loads(store.hget(keys.dead_payloads("default"), "a"))
    assert letter["args"] == [] and letter["options"]["traceback"].startswith("Traceback")
    assert store.hgetall(keys.dead_counts("default")) == {f"work\t{error}".encode(): b"1"}
    assert broker.in_flight.ended >= 1 and broker.in_flight.running() == []


@pytest.mark.parametrize("of", ["actor", "message"])
def test_without_a_limit_a_message_is_retried_again_and_again(failing: Failing, of: str) -> None:
    unlimited = {"max_retries": None}
    if of == "actor":
        failing.attempts_of(failing.broker(0), **unlimited)
    else:
        failing.attempts(0, unlimited)
    assert [outcome.result for outcome in failing.outcomes] == ["retried"] * 10


@pytest.mark.parametrize(
    "options", [{"retry_delay": "soon"}, {"max_retries": "3"}, {"retry_multiplier": 0}, {"max_backoff": "long"}]
)
def test_options_of_a_message_that_cannot_be_used_do_not_hide_what_its_actor_raised(
    redis_: FakeRedis, options: dict[str, Any]
) -> None:
    notified: list[str] = []
    broker = broker_on(redis_)

    @dramatiq.actor(broker=broker, on_failed=lambda _message, error: notified.append(str(error)))
    def work() -> None:
        raise ValueError("no")

    work.send_with_options(**options)
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    outcome = Executor(broker).run(delivery)

    assert (outcome.result, outcome.detail, notified) == ("failed", "work\tValueError", ["no"])
    assert [attempt["error"] for attempt in json.loads(outcome.payload)["options"]["attempts"]] == ["ValueError"]


def test_a_bug_of_the_policy_is_logged_as_one(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("a bug of ours")

    notified: list[str] = []
    monkeypatch.setattr(Retries, "_may_retry", broken)

    failing.attempts(on_failed=lambda _message, error: notified.append(str(error)))

    assert failing.outcomes[0].detail == "work\tRuntimeError"
    assert [attempt["error"] for attempt in failing.letter["attempts"]] == ["ValueError", "RuntimeError"]
    assert "a bug of ours" in failing.letter["traceback"] and notified == ["a bug of ours"]


# --- on_failed ---------------------------------------------------------------------------------------------------


def test_on_failed_is_called_once_and_before_the_message_is_a_dead_letter(redis_: FakeRedis, failing: Failing) -> None:
    heard = []

    def on_failed(message: Any, error: BaseException) -> None:
        heard.append((message.actor_name, str(error), *places(redis_).values()))

    failing.attempts(on_failed=on_failed)
    assert heard == [("work", "no", "host:worker_00")]
    assert places(redis_) == {failing.outcomes[0].delivery.id: "dead"}


@pytest.mark.parametrize("error", [redis.ConnectionError, redis.TimeoutError, ConnectionClosed])
def test_on_failed_is_retried_while_redis_is_unavailable(
    failing: Failing, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(attempts, "BACKOFF", (0.001, 0.002))
    refusals = iter(range(5))
    heard = []

    def on_failed(_message: object, _error: object) -> None:
        if next(refusals, None) is not None:
            raise error("away")
        heard.append(1)

    failing.attempts(max_retries=0, on_failed=on_failed)
    assert heard == [1]
    assert failing.letter


def test_an_exception_in_on_failed_changes_nothing(failing: Failing, caplog: pytest.LogCaptureFixture) -> None:
    def on_failed(_message: object, _error: object) -> None:
        raise RuntimeError("a bug")

    failing.attempts(max_retries=0, on_failed=on_failed)
    assert failing.letter
    assert failing.outcomes[0].detail == "work\tValueError"
    assert "on_failed of work failed" in caplog.text


# --- the log -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "reason"), [("no such file", "no such file"), ("", "ValueError")])
def test_the_log_names_attempt_delay_and_reason(
    failing: Failing, caplog: pytest.LogCaptureFixture, text: str, reason: str
) -> None:
    failing.error = lambda: ValueError(text)
    with caplog.at_level(logging.WARNING, "tandem.worker.retries"):
        failing.attempts(max_retries=1, retry_delay=1)
    assert [record.getMessage() for record in caplog.records if record.name == "tandem.worker.retries"] == [
        f"attempt 1 failed, retrying in 1 ms: {reason}",
        f"gave up after attempt 2: ValueError: {text}",
    ]


# --- as in dramatiq ----------------------------------------------------------------------------------------------


def test_backoff_options_of_dramatiq_choose_the_first_and_the_longest_delay(failing: Failing) -> None:
    failing.attempts(max_retries=5, min_backoff=100, max_backoff=500)
    assert all(about(*pair) for pair in zip(failing.delays[:3], [100, 200, 400], strict=True))
    assert all(450 <= delay <= 500 for delay in failing.delays[3:])


def test_backoff_options_of_a_message_go_before_those_of_its_actor(failing: Failing) -> None:
    failing.attempts(message_options={"min_backoff": 30, "max_backoff": 40}, retry_delay=500)
    assert about(failing.delays[0], 30) and all(delay <= 40 for delay in failing.delays)


def test_retry_when_decides_instead_of_max_retries(failing: Failing) -> None:
    asked: list[tuple[int, str]] = []

    def retry_when(retries: int, exception: BaseException) -> bool:
        asked.append((retries, str(exception)))
        return retries < 5

    failing.attempts(max_retries=1, retry_when=retry_when)
    assert len(failing.delays) == 5
    assert asked == [(number, "no") for number in range(6)]


def test_a_message_without_retries_left_is_sent_to_the_actor_of_on_retry_exhausted(
    redis_: FakeRedis, failing: Failing
) -> None:
    broker = failing.broker(max_retries=1)
    seen: list[tuple[Any, Any]] = []

    @dramatiq.actor(broker=broker, queue_name="exhausted")
    def exhausted(message: Any, info: Any) -> None:
        seen.append((message["args"], info))

    failing.attempts_of(broker, {"args": ()}, on_retry_exhausted="exhausted")
    ((delivery,), _) = broker.store.claim_batch(("exhausted",), 1)
    assert Executor(broker).run(delivery).result == "completed"
    assert seen == [([], {"retries": 1, "max_retries": 1})]


def test_what_is_final_at_once_is_not_exhausted(redis_: FakeRedis, failing: Failing) -> None:
    broker = failing.broker()
    dramatiq.actor(broker=broker, queue_name="exhausted", actor_name="exhausted")(lambda *_: None)
    failing.error = lambda: KeyError("x")
    failing.attempts_of(broker, throws=KeyError, on_retry_exhausted="exhausted")
    assert broker.store.claim_batch(("exhausted",), 1)[0] == []


def test_waiting_for_a_rate_limiter_uses_up_no_attempt_that_a_failure_needs(
    failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    failing.error = lambda: RateLimitExceeded("too many")
    with caplog.at_level(logging.INFO, "tandem"):
        failing.attempts()
    assert [outcome.result for outcome in failing.outcomes] == ["retried"] * 10
    assert max(failing.delays) <= 60_000
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_who_sets_max_retries_means_it_for_rate_limiters_as_well(failing: Failing) -> None:
    failing.error = lambda: RateLimitExceeded("too many")
    failing.attempts_of(failing.broker(), max_retries=2)
    assert [outcome.result for outcome in failing.outcomes] == ["retried", "retried", "failed"]


@pytest.mark.parametrize(("max_retries", "result"), [(0, "failed"), (3, "snoozed")])
def test_an_interrupted_message_runs_again_unless_it_must_not(failing: Failing, max_retries: int, result: str) -> None:
    failing.error = Shutdown
    broker = failing.broker()
    broker.draining.set()

    @dramatiq.actor(broker=broker, max_retries=max_retries)
    def work() -> None:
        raise Shutdown

    work.send()
    failing._attempt(broker)
    assert failing.outcomes[0].result == result


def test_an_eta_that_is_no_number_is_ignored(redis_: FakeRedis, caplog: pytest.LogCaptureFixture) -> None:
    broker = broker_on(redis_)
    dramatiq.actor(broker=broker, actor_name="work")(lambda: None)
    broker.store.enqueue("default", "a", json.dumps(GOOD | {"options": {"eta": "soon"}}).encode(), None)
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    assert Executor(broker).run(delivery).result == "completed"
    assert "ignoring the invalid eta 'soon'" in caplog.text


class Hooks(dramatiq.Middleware):
    """Notes what the hooks see."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def after_process_message(
        self, _broker: Any, message: Any, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        options = message.options
        self.seen.append(("process", message.failed, options.get("retries"), "Traceback" in options["traceback"]))

    def before_enqueue(self, _broker: Any, message: Any, delay: int | None) -> None:
        self.seen.append(("enqueue", delay is not None))

    def after_ack(self, _broker: Any, _message: Any) -> None:
        self.seen.append(("ack",))

    def after_nack(self, _broker: Any, message: Any) -> None:
        self.seen.append(("nack", str(message._exception)))


def test_hooks_of_middleware_that_was_there_before_see_the_decision(redis_: FakeRedis, clock: Clock) -> None:
    hooks = Hooks()
    failing = Failing(redis_, clock)
    broker = failing.broker(max_retries=1)
    broker.add_middleware(hooks, before=Retries)
    failing.attempts_of(broker)
    assert hooks.seen == [
        ("enqueue", False),
        ("enqueue", True),
        ("process", False, 1, True),
        ("ack",),
        ("process", True, 2, True),
        ("nack", "no"),
    ]
    assert isinstance(failing.letter["requeue_timestamp"], int)


def test_a_failure_is_stored_for_those_who_wait_for_the_result(redis_: FakeRedis, failing: Failing) -> None:
    backend = StubBackend()
    broker = failing.broker(max_retries=0)
    broker.add_middleware(Results(backend=backend))

    @dramatiq.actor(broker=broker, store_results=True)
    def work() -> None:
        raise ValueError("oh")

    message = work.send()
    failing._attempt(broker)
    with pytest.raises(ResultFailure, match="ValueError: oh"):
        message.get_result(backend=backend)


@pytest.mark.parametrize("of", ["actor", "message"])
def test_a_message_that_is_too_old_becomes_a_dead_letter_that_says_so(failing: Failing, clock: Clock, of: str) -> None:
    broker = broker_on(failing.redis, FIRST, AgeLimit())
    age: dict[str, Any] = {"max_age": 1000}
    ran: list[int] = []
    actor = dramatiq.actor(broker=broker, actor_name="work", **(age if of == "actor" else {}))(lambda: ran.append(1))
    actor.send_with_options(**(age if of == "message" else {}))
    clock.forward(2)
    failing._attempt(broker)
    assert (ran, failing.outcomes[0].detail) == ([], "work\tRejected")
    assert failing.letter["attempts"][0]["message"] == "the message is 2,000 ms old, older than its max_age of 1,000 ms"
