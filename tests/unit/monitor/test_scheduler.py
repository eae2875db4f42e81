"""The monitors of several containers send scheduled messages: each tick once, whatever their clocks say."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.monitor.schedule_watch import ScheduleWatch
from tandem.monitor.scheduler import LOOK_INTERVAL, Scheduler
from tandem.schedules import definitions, ticks
from tandem.schedules.schedule import Definition, Schedule
from tandem.schedules.store import ScheduleStore
from tandem.testing.stopped_clock import Clock
from tests.unit.harness import broker_on


@pytest.fixture
def broker(redis_: FakeRedis) -> Broker:
    broker = broker_on(redis_)
    dramatiq.actor(broker=broker, actor_name="remind")(lambda: None)
    return broker


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "schedules.json"
    monkeypatch.setattr(definitions.read, "__kwdefaults__", {"file": path})
    return path


def every(broker: Broker, seconds: float, **more: Any) -> Schedule:
    return Schedule(actor=broker.get_actor("remind"), every=timedelta(seconds=seconds), **more)


def sent(client: FakeRedis) -> int:
    return int(client.llen(keys.ready("default")))


def scheduled_ticks(broker: Broker, client: Any) -> list[int]:
    payloads = client.hvals(keys.payloads("default"))
    return sorted(dramatiq.Message.decode(payload).options["scheduled_at"] for payload in payloads)


def test_three_monitors_that_die_at_random_send_two_thousand_ticks_once_each(
    redis_: FakeRedis, broker: Broker, file: Path, clock: Clock
) -> None:
    definitions.write([every(broker, 1).definition()], ["remind"], file=file)
    dice = random.Random(20271130)  # noqa: S311
    monitors = [Scheduler(redis_) for _ in range(3)]
    for monitor in monitors:
        monitor.step()
    began = int(clock.now)
    while clock.now < began + 2000:
        clock.forward(dice.uniform(0.05, 1.5))
        place = dice.randrange(3)
        if dice.random() < 0.1:
            monitors[place] = Scheduler(redis_)
        monitors[place].step()
    for monitor in monitors:
        monitor.step()
    ticks = Counter(scheduled_ticks(broker, redis_))
    assert set(ticks.values()) == {1}
    # One that comes too late for its second is sent with the next one: once for all that were missed within a minute.
    assert sorted(ticks) == list(range(began + 1, int(clock.now) + 1))


def test_a_new_schedule_does_not_begin_in_the_past(redis_: FakeRedis, broker: Broker, file: Path, clock: Clock) -> None:
    definitions.write([every(broker, 3600, missed="all").definition()], ["remind"], file=file)
    Scheduler(redis_).step()
    assert sent(redis_) == 0
    clock.forward(3600)
    Scheduler(redis_).step()
    assert sent(redis_) == 1


def test_a_schedule_that_is_added_later_is_noticed_and_one_that_is_removed_ends(
    redis_: FakeRedis, broker: Broker, file: Path, clock: Clock
) -> None:
    definitions.write([], ["remind"], file=file)
    store, monitor = ScheduleStore(redis_), Scheduler(redis_)
    assert monitor.step() == LOOK_INTERVAL
    store.add(every(broker, 10, name="users").definition())
    assert monitor.step() <= LOOK_INTERVAL
    clock.forward(10)
    monitor.step()
    assert sent(redis_) == 1
    store.remove("users")
    clock.forward(10)
    monitor.step()
    assert sent(redis_) == 1


def test_a_schedule_whose_actor_is_gone_waits_and_is_reported(
    redis_: FakeRedis, broker: Broker, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    definitions.write([], ["other"], file=file)
    ScheduleStore(redis_).add(every(broker, 10, name="users").definition())
    monitor = Scheduler(redis_)
    for _ in range(3):
        monitor.step()
        clock.forward(10)
    assert sent(redis_) == 0
    assert caplog.text.count("the schedule users waits: there is no actor remind here") == 1
    assert ScheduleWatch(ScheduleStore(redis_)).overdue() == {"users": "waits, because there is no actor remind"}


def test_the_next_step_comes_right_after_the_next_tick(
    redis_: FakeRedis, broker: Broker, file: Path, clock: Clock
) -> None:
    definitions.write([every(broker, 1).definition()], ["remind"], file=file)
    monitor = Scheduler(redis_)
    wait = monitor.step()
    clock.forward(wait)
    monitor.step()
    assert sent(redis_) == 1


def test_without_schedules_nothing_is_loaded_and_nobody_is_late(redis_: FakeRedis, file: Path) -> None:
    assert Scheduler(redis_).step() == LOOK_INTERVAL
    assert ScheduleWatch(ScheduleStore(redis_)).overdue() == {}


def test_many_schedules_that_are_not_due_cost_a_step_nothing_and_one_more_does_not_begin_them_anew(
    redis_: FakeRedis, broker: Broker, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definitions.write([], ["remind"], file=file)
    store, monitor = ScheduleStore(redis_), Scheduler(redis_)
    for number in range(50):
        store.add(every(broker, 86_400, name=f"users-{number}").definition())
    monitor.step()
    begun: list[str] = []
    read: list[str] = []
    after = ticks.after

    def begin(name: str, now: float) -> float:
        begun.append(name)
        return now

    def reading(one: Definition, moment: float) -> Iterator[int]:
        read.append(one.name)
        return after(one, moment)

    monkeypatch.setattr(monitor._store, "begin", begin)
    monkeypatch.setattr(ticks, "after", reading)
    monitor.step()
    assert (begun, read) == ([], [])
    store.add(every(broker, 86_400, name="one-more").definition())
    monitor.step()
    assert begun == ["one-more"] and set(read) == {"one-more"}


def test_the_monitor_loads_neither_pydantic_nor_dramatiqs_actors_nor_cronsim() -> None:
    code = "import sys, tandem.monitor.main; print([n for n in sys.modules if n in ('pydantic', 'cronsim', 'app')])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert seen.stdout == "[]\n"
