"""Schedules in Redis: each tick is sent once, whoever tries, and what happened to its message is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import dramatiq
import pytest
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.schedules.schedule import Definition, Schedule
from tandem.schedules.store import ScheduleStore, TooManySchedules, overdue
from tandem.testing.stopped_clock import Clock
from tandem.worker import job
from tandem.worker.executor import Executor
from tandem.worker.schedule_outcomes import ScheduleOutcomes
from tests.unit.harness import FIRST, broker_on

TICK = 1_800_000_000


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    return broker_on(redis_, FIRST, ScheduleOutcomes(), max_retries=0)


@pytest.fixture
def store(redis_: FakeRedis) -> ScheduleStore:
    return ScheduleStore(redis_)


def remind(broker: Broker, act: Any = lambda *_: None, **more: Any) -> Definition:
    actor = dramatiq.actor(broker=broker, actor_name="remind")(act)
    return Schedule("15 3 * * *", actor, args=(5,), **more).definition()


def run(broker: Broker) -> str:
    ((delivery,), _) = broker.store.claim_batch(("default",), 1)
    outcome = Executor(broker).run(delivery)
    broker.store.ack("default", [outcome])
    return outcome.result


def test_of_any_number_of_senders_one_sends_a_tick(redis_: FakeRedis, broker: Broker) -> None:
    definition = remind(broker)
    senders = [ScheduleStore(redis_) for _ in range(3)]
    assert [sender.send(definition, TICK) for sender in senders] == ["sent", "done", "done"]
    assert [sender.send(definition, TICK + 60) for sender in reversed(senders)] == ["sent", "done", "done"]
    assert senders[0].send(definition, TICK) == "done"
    assert cast(Any, redis_).llen(keys.ready("default")) == 2


def test_the_message_is_as_if_it_was_sent_and_knows_its_tick(broker: Broker, store: ScheduleStore) -> None:
    seen: list[Any] = []
    store.send(remind(broker, lambda number: seen.append((number, job.scheduled_at()))), TICK)
    assert run(broker) == "completed"
    assert seen == [(5, datetime.fromtimestamp(TICK, UTC))]


def test_without_overlap_a_tick_is_skipped_while_the_last_message_is_there(
    redis_: FakeRedis, broker: Broker, store: ScheduleStore
) -> None:
    definition = remind(broker, overlap=False)
    assert [store.send(definition, TICK + number) for number in range(3)] == ["sent", "overlap", "overlap"]
    run(broker)
    assert store.send(definition, TICK + 3) == "sent"
    assert store.states(["remind"])["remind"]["overlaps"] == "2"


def test_ticks_of_a_paused_schedule_are_not_made_up_for(broker: Broker, store: ScheduleStore) -> None:
    definition = remind(broker)
    assert store.pause("remind") and not store.pause("remind")
    assert store.send(definition, TICK) == "paused"
    assert store.resume("remind") and not store.resume("remind")
    assert [store.send(definition, TICK), store.send(definition, TICK + 1)] == ["done", "sent"]


def test_jitter_delays_each_message_by_the_same_in_every_container(
    redis_: FakeRedis, broker: Broker, clock: Clock
) -> None:
    definition = remind(broker, jitter=timedelta(seconds=100))
    delays = set()
    for number in range(5):
        ScheduleStore(redis_).send(definition, TICK + number)
        scores: Any = redis_.zrange(keys.delayed("default"), -1, -1, withscores=True)
        delays.add(scores[0][1] - clock.milliseconds)
    assert len(delays) > 1 and all(0 < delay <= 100_000 for delay in delays)


def test_success_and_failure_of_the_last_message_are_known(broker: Broker, store: ScheduleStore, clock: Clock) -> None:
    fails = iter([False, True])

    def act(_: int) -> None:
        if next(fails):
            raise ValueError("no")

    definition = remind(broker, act)
    store.send(definition, int(clock.now))
    run(broker)
    state = store.states(["remind"])["remind"]
    assert float(state["succeeded_at"]) == pytest.approx(clock.now, abs=0.01) and float(state["took"]) >= 0
    clock.forward(60)
    store.send(definition, int(clock.now))
    assert run(broker) == "failed"
    assert store.states(["remind"])["remind"]["error"] == "ValueError: no"


def test_a_schedule_is_overdue_if_its_last_message_has_not_succeeded_in_its_window(
    broker: Broker, store: ScheduleStore, clock: Clock
) -> None:
    definition = remind(broker, window=timedelta(minutes=5))

    def late() -> dict[str, str]:
        return overdue([definition], store.states(["remind"]), store.now())

    assert late() == {}
    store.send(definition, int(clock.now))
    clock.forward(299)
    assert late() == {}
    clock.forward(2)
    assert late() == {"remind": "has not succeeded so far"}
    run(broker)
    assert late() == {}


def test_schedules_of_users_are_added_replaced_and_removed(
    redis_: FakeRedis, broker: Broker, store: ScheduleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = remind(broker)
    versions = [store.version()]
    store.add(definition)
    versions.append(store.version())
    assert store.added() == [definition]
    store.begin("remind", 1.0)
    assert store.remove("remind") and not store.remove("remind")
    assert versions[0] < versions[1] < store.version()
    assert store.added() == [] and store.states(["remind"]) == {"remind": {}}
    monkeypatch.setattr("tandem.schedules.store.MAX_ADDED", 0)
    with pytest.raises(TooManySchedules, match="0 schedules were added: remove one first"):
        store.add(definition)


def test_the_outcome_of_a_removed_schedule_brings_nothing_back(broker: Broker, store: ScheduleStore) -> None:
    store.send(remind(broker), TICK)
    store.remove("remind")
    run(broker)
    assert store.states(["remind"]) == {"remind": {}}


def test_a_tick_that_redis_refuses_is_sent_later(broker: Broker, store: ScheduleStore, redis_: FakeRedis) -> None:
    definition = remind(broker)
    (id_,) = [json.loads(store._payload(definition, "x", TICK, 0))["options"]["scheduled_at"]]
    assert id_ == TICK
    store.begin("remind", TICK - 1)
    assert store.begin("remind", TICK + 5) == TICK - 1
    assert store.send(definition, TICK) == "sent"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "expected either a cron expression or every=timedelta(…)"),
        ({"cron": "* * * * *", "every": timedelta(5)}, "expected either a cron expression or every=timedelta(…)"),
        ({"every": timedelta(0)}, "every=datetime.timedelta(0): expected a timedelta from a second to a year"),
        ({"every": 5}, "every=5: expected a timedelta"),
        ({"cron": "0 0 30 2 *"}, "Bad day-of-month"),
        ({"cron": "* * * * *", "name": "a b"}, "name='a b': expected up to 100 letters, digits and ._:-"),
        ({"cron": "* * * * *", "missed": "never"}, "missed='never': expected skip, once or all"),
        ({"cron": "* * * * *", "jitter": timedelta(-1)}, "expected a timedelta from 0 to a year"),
        ({"cron": "* * * * *", "until": datetime(2027, 1, 1)}, "expected a datetime with a time zone"),
        ({"cron": "* * * * *", "actor": None, "name": "x"}, "no actor: expected the function that was decorated"),
    ],
)
def test_a_schedule_that_is_invalid_says_why(broker: Broker, arguments: dict[str, Any], problem: str) -> None:
    actor = dramatiq.actor(broker=broker, actor_name="remind")(lambda: None)
    (found,) = Schedule(**{"actor": actor, **arguments}).problems()
    assert problem in found


@pytest.mark.parametrize(("args", "problem"), [([object()], "its arguments are not JSON"), (["x" * 200_000], "bytes")])
def test_arguments_that_cannot_be_stored_are_refused(broker: Broker, args: list[Any], problem: str) -> None:
    actor = dramatiq.actor(broker=broker, actor_name="remind")(lambda _: None)
    with pytest.raises(ValueError, match=problem):
        Schedule("* * * * *", actor, args=args).definition()
