"""The receiver is notified once when an alert is raised and once when it is cleared, whichever process is killed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from tandem.broker import keys
from tandem.monitor.alert_manager import AlertManager
from tandem.monitor.alert_rules import Alert
from tandem.operate.alert_entries import AlertRecord, FileStore, RedisStore, Store

DEEP = Alert("600 wait", 600, 500)
INTERVAL = 15.0


class Killed(BaseException):
    """What a SIGKILL is to the code: nothing of it runs any more, not even a handler of Exception."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Receiver:
    """Accepts notifications while it is available."""

    def __init__(self) -> None:
        self.there = True
        self.asked = 0
        self.got: list[tuple[str, str]] = []
        self.sentences: list[str] = []
        self.details: list[Mapping[str, object]] = []

    def __call__(self, text: str, details: Mapping[str, object]) -> bool:
        self.asked += 1
        if self.there:
            self.got.append((str(details["alert"]), str(details["state"])))
            self.sentences.append(text)
            self.details.append(details)
        return self.there


class Dying:
    """A store or receiver whose owner is killed before or after its n-th call."""

    def __init__(self, call: Callable[..., Any], number: int, *, after: bool) -> None:
        self._call = call
        self._number = number
        self._after = after
        self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls == self._number and not self._after:
            raise Killed
        answer = self._call(*arguments)
        if self.calls == self._number:
            raise Killed
        return answer


class DyingStore:
    def __init__(self, store: Store, number: int, *, after: bool) -> None:
        self.read = store.read
        self.swap = Dying(store.swap, number, after=after)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time", clock)
    return clock


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, redis_client: redis.Redis) -> Store:
    return RedisStore(redis_client) if request.param == "redis" else FileStore(tmp_path / "run" / "alerts.json")


@pytest.fixture
def shared(redis_client: redis.Redis) -> Store:
    return RedisStore(redis_client)


def alert_manager(store: Store, tell: Any, me: str = "here") -> AlertManager:
    return AlertManager(
        store, host=me, interval=INTERVAL, notify=tell, now=lambda: time.time(), shared=isinstance(store, RedisStore)
    )


def look(clock: Clock, *boards: AlertManager, depth: Alert | None = None) -> None:
    clock.now += INTERVAL
    for each in boards:
        each.update({"depth": depth})


def test_an_alert_notifies_once_when_raised_and_once_when_cleared(
    store: Store, receiver: Receiver, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = alert_manager(store, receiver)
    for depth in [None, DEEP, Alert("700 wait", 700, 500), DEEP, None, None, None, None]:
        look(clock, one, depth=depth)

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")]
    assert receiver.sentences == ["depth: 600 wait", "cleared after 60 s: depth: 600 wait"]
    assert receiver.details[0] == {
        "alert": "depth",
        "state": "raised",
        "since": "2027-01-15T08:00:30Z",
        "value": 600,
        "threshold": 500,
    }
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert store.read() == {}


def test_one_passing_check_clears_nothing(store: Store, receiver: Receiver, clock: Clock) -> None:
    one = alert_manager(store, receiver)
    for depth in [DEEP, None, DEEP, None, DEEP, None]:
        look(clock, one, depth=depth)

    assert receiver.got == [("depth", "raised")]


def test_what_was_not_seen_stays_as_it_is(store: Store, receiver: Receiver, clock: Clock) -> None:
    one = alert_manager(store, receiver)
    look(clock, one, depth=DEEP)
    for _ in range(5):
        clock.now += INTERVAL
        one.update({})

    assert receiver.got == [("depth", "raised")]
    assert set(store.read()) == {"depth"}


def test_a_receiver_that_was_unavailable_gets_both_notifications_in_order(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    receiver.there = False
    one = alert_manager(store, receiver)
    for depth in [DEEP, None, None, None]:
        look(clock, one, depth=depth)
    assert receiver.got == []
    receiver.there = True
    for _ in range(30):
        look(clock, one)

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")]
    assert store.read() == {}


def test_an_alert_cleared_before_it_was_sent_is_sent_without_delay(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    receiver.there = False
    one = alert_manager(store, receiver)
    for depth in [DEEP, None, None]:
        look(clock, one, depth=depth)
    receiver.there = True
    clock.now += 600
    one.update({"depth": None})
    one.update({"depth": None})

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")]


def test_an_unavailable_receiver_is_tried_once_per_check(store: Store, receiver: Receiver, clock: Clock) -> None:
    receiver.there = False
    alert_manager(store, receiver).update({"depth": DEEP, "memory": DEEP, "disk": DEEP})

    assert receiver.asked == 1
    assert set(store.read()) == {"depth", "memory", "disk"}


def test_a_receiver_that_is_away_is_asked_ever_more_rarely(store: Store, receiver: Receiver, clock: Clock) -> None:
    receiver.there = False
    one = alert_manager(store, receiver)
    for _ in range(240):  # an hour
        look(clock, one, depth=DEEP)

    assert 10 < receiver.asked < 25


def test_an_alert_raised_again_before_its_clearing_was_sent_does_not_notify(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    one = alert_manager(store, receiver)
    look(clock, one, depth=DEEP)
    receiver.there = False
    for depth in [None, None, DEEP]:
        look(clock, one, depth=depth)
    receiver.there = True
    for _ in range(5):
        look(clock, one, depth=DEEP)

    assert receiver.got == [("depth", "raised")]


def test_an_alert_raised_again_while_its_clearing_is_sent_notifies_again(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    one = alert_manager(store, receiver)
    look(clock, one, depth=DEEP)

    def back_meanwhile(text: str, details: Mapping[str, object]) -> bool:
        record = store.read()["depth"]
        assert store.swap(record, AlertRecord(**{**vars(record), "cleared": 0.0}))
        return receiver(text, details)

    other = alert_manager(store, back_meanwhile)
    for _ in range(2):
        look(clock, other)
    look(clock, one, depth=DEEP)
    assert receiver.got == [("depth", "raised"), ("depth", "cleared"), ("depth", "raised")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 9))
def test_a_monitor_that_is_killed_at_any_change_loses_no_call(
    store: Store, receiver: Receiver, clock: Clock, number: int, *, after: bool
) -> None:
    story = [None, DEEP, DEEP, DEEP, None, None, None, None]
    dying = DyingStore(store, number, after=after)
    one = alert_manager(store, receiver)
    one._store = dying
    for depth in story:
        try:
            look(clock, one, depth=depth)
        except Killed:
            one = alert_manager(store, receiver)
    for _ in range(4):
        look(clock, one)

    # Sent, but not stored as sent: only this death repeats a notification.
    repeated = not after and number in (3, 8)
    assert set(receiver.got) == {("depth", "raised"), ("depth", "cleared")}
    assert receiver.got == sorted(receiver.got, reverse=True)
    assert len(receiver.got) == 2 + repeated
    assert store.read() == {}


@pytest.mark.parametrize("number", [1, 2])
def test_after_a_monitor_is_killed_before_it_notifies_the_next_one_does(
    store: Store, receiver: Receiver, clock: Clock, number: int
) -> None:
    dying = Dying(receiver, number, after=False)
    one = alert_manager(store, dying)
    for depth in [DEEP, DEEP, None, None, None, None]:
        try:
            look(clock, one, depth=depth)
        except Killed:
            one = alert_manager(store, receiver)
    for _ in range(4):
        look(clock, one)

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")]


def test_a_restarted_monitor_neither_repeats_nor_forgets(store: Store, receiver: Receiver, clock: Clock) -> None:
    for depth in [DEEP, DEEP, DEEP]:
        look(clock, alert_manager(store, receiver), depth=depth)
    one = alert_manager(store, receiver)
    for _ in range(3):
        look(clock, one)

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")]


def test_of_two_containers_exactly_one_notifies(shared: Store, receiver: Receiver, clock: Clock) -> None:
    one, two = alert_manager(shared, receiver, "one"), alert_manager(shared, receiver, "two")
    for depth in [DEEP, DEEP, None, None, None, DEEP, None, None, None]:
        look(clock, one, two, depth=depth)

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")] * 2


def test_a_notification_of_a_lost_container_is_sent_by_another_one_after_a_minute(
    shared: Store, receiver: Receiver, clock: Clock
) -> None:
    lost, other = (
        alert_manager(shared, Dying(receiver, 1, after=False), "lost"),
        alert_manager(shared, receiver, "other"),
    )
    with pytest.raises(Killed):
        look(clock, lost, depth=DEEP)
    for _ in range(3):
        look(clock, other, depth=DEEP)
    assert receiver.got == []
    for _ in range(3):
        look(clock, other, depth=DEEP)

    assert receiver.got == [("depth", "raised")]


def test_an_alert_of_a_lost_container_is_cleared_by_another_one(
    shared: Store, receiver: Receiver, clock: Clock
) -> None:
    look(clock, alert_manager(shared, receiver, "lost"), depth=DEEP)
    other = alert_manager(shared, receiver, "other")
    for _ in range(3):
        look(clock, other)

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")]


def test_containers_with_different_thresholds_make_no_storm(shared: Store, receiver: Receiver, clock: Clock) -> None:
    strict, lenient = alert_manager(shared, receiver, "strict"), alert_manager(shared, receiver, "lenient")
    for _ in range(20):
        look(clock, strict, depth=DEEP)
        lenient.update({"depth": None})

    assert receiver.got == [("depth", "raised")]


def test_a_redis_that_goes_away_after_the_call_does_not_repeat_it(
    redis_client: redis.Redis, receiver: Receiver, clock: Clock
) -> None:
    store = RedisStore(redis_client)
    away = True

    class Flaky:
        read = store.read

        def swap(self, old: AlertRecord | None, new: AlertRecord | None) -> bool:
            if away and receiver.got and new and new.notified:
                raise redis.ConnectionError("gone")
            return store.swap(old, new)

    one = AlertManager(Flaky(), host="here", interval=INTERVAL, notify=receiver, now=lambda: time.time(), shared=True)
    with pytest.raises(redis.ConnectionError):
        look(clock, one, depth=DEEP)
    away = False
    for _ in range(3):
        look(clock, one, depth=DEEP)

    assert receiver.got == [("depth", "raised")]
    assert store.read()["depth"].notified


def test_without_a_receiver_an_alert_ends_all_the_same(store: Store, clock: Clock) -> None:
    one = alert_manager(store, None)
    look(clock, one, depth=DEEP)
    assert set(store.read()) == {"depth"}
    for _ in range(11):
        look(clock, one)

    assert store.read() == {}


def test_a_container_without_a_receiver_leaves_the_telling_to_one_that_has(
    shared: Store, receiver: Receiver, clock: Clock
) -> None:
    mute, other = alert_manager(shared, None, "mute"), alert_manager(shared, receiver, "other")
    for depth in [DEEP] * 6 + [None] * 20:
        look(clock, mute, other, depth=depth)

    assert receiver.got == [("depth", "raised"), ("depth", "cleared")]
    assert shared.read() == {}


@pytest.fixture
def record() -> Iterator[AlertRecord]:
    yield AlertRecord("depth", "600 wait", 600, 500, since=1.5, seen=2.5, changed=1.5, notifier="here")


def test_a_store_changes_only_what_is_still_as_it_was_read(store: Store, record: AlertRecord) -> None:
    assert not store.swap(record, None)
    assert store.swap(None, record)
    assert not store.swap(None, record)
    notified = AlertRecord(**{**vars(record), "notified": True})
    assert store.swap(record, notified)
    assert not store.swap(record, None)
    assert store.read() == {"depth": notified}
    assert store.swap(notified, None)
    assert store.read() == {}


def test_an_unreadable_file_is_no_alert(tmp_path: Path, record: AlertRecord) -> None:
    file = tmp_path / "alerts.json"
    for text in ["", "{", "[]", '{"depth": {"name": 1, "surprise": 2}}', '{"depth": null}']:
        file.write_text(text)
        assert FileStore(file).read() == {}
    assert FileStore(file).swap(None, record)
    assert json.loads(file.read_text())["depth"]["text"] == "600 wait"


def test_an_invalid_record_in_redis_is_no_alert(redis_client: redis.Redis) -> None:
    redis_client.hset(keys.ALERTS, mapping={"depth": "no JSON", "other": "{}"})
    assert RedisStore(redis_client).read() == {}
