"""Hosts whose clocks are wrong: comparisons use the clock of Redis, and no worker appears lost or late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import dramatiq
import pytest
import redis
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.broker.clock import OFFSET_TTL_SECONDS, RETRY_SECONDS
from tandem.operate.queue_stats import queues
from tandem.testing.stopped_clock import Clock
from tandem.worker.executor import Executor
from tandem.worker.heartbeat import HeartbeatReporter
from tandem.worker.restart_lease import RestartLease
from tandem.worker.retries import Retries
from tests.unit.harness import broker_on

HOURS = 2 * 3600


class Host:
    """A machine beside Redis's, with a clock of its own."""

    def __init__(self, client: FakeRedis, true: Clock, patch: pytest.MonkeyPatch) -> None:
        self.fails = False
        self.asked = 0
        self._client, self._true, self._patch = client, true, patch
        self._monotonic = 1000.0
        patch.setattr("time.monotonic", lambda: self._monotonic)
        patch.setattr(client, "time", self._time)

    def _time(self) -> tuple[int, int]:
        self.asked += 1
        if self.fails:
            raise redis.exceptions.ConnectionError("away")
        return self._true.milliseconds // 1000, self._true.milliseconds % 1000 * 1000

    def is_ahead(self, seconds: float) -> None:
        """Sets this machine's clock, and only this one's."""
        for name in ("time.time", "dramatiq.common.time"):
            self._patch.setattr(name, lambda: self._true.now + seconds)

    def forward(self, seconds: float) -> None:
        self._true.forward(seconds)
        self._monotonic += seconds


@pytest.fixture
def host(redis_: FakeRedis, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(redis_, clock, monkeypatch)


@pytest.fixture
def told(redis_: FakeRedis) -> Iterator[Broker]:
    broker = broker_on(redis_)

    @dramatiq.actor(actor_name="work", broker=broker)
    def work(name: str = "") -> None:
        if name == "breaks":
            raise ValueError(name)

    yield broker
    broker.close()


def run(broker: Broker) -> Any:
    delivery, _due = broker.store.claim_batch(["default"], 1)
    return Executor(broker).run(delivery[0])


@pytest.mark.parametrize("seconds", [-HOURS, HOURS])
def test_a_message_of_a_host_with_a_wrong_clock_has_waited_as_long_as_it_did(
    told: Broker, host: Host, clock: Clock, seconds: float
) -> None:
    host.is_ahead(seconds)
    told.get_actor("work").send("a")
    host.forward(3)
    host.is_ahead(0)
    host.forward(OFFSET_TTL_SECONDS)

    assert run(told).waited == pytest.approx(3 + OFFSET_TTL_SECONDS, abs=0.01)


@pytest.mark.parametrize("seconds", [-HOURS, HOURS])
def test_a_worker_with_a_wrong_clock_measures_the_same(told: Broker, host: Host, seconds: float) -> None:
    told.get_actor("work").send("a")
    host.forward(OFFSET_TTL_SECONDS + 1)
    host.is_ahead(seconds)

    assert run(told).waited == pytest.approx(OFFSET_TTL_SECONDS + 1, abs=0.01)


@pytest.mark.parametrize("seconds", [-HOURS, HOURS])
def test_what_was_delayed_or_failed_is_due_by_the_clock_of_redis(
    told: Broker, host: Host, clock: Clock, seconds: float
) -> None:
    host.is_ahead(seconds)
    sent = told.get_actor("work").send_with_options(args=("a",), delay=5000)
    assert sent.options["eta"] == clock.milliseconds + 5000

    told.get_actor("work").send("breaks")
    again = dramatiq.Message.decode(run(told).payload)
    assert again.options["eta"] == pytest.approx(clock.milliseconds + 1000, abs=500)


@pytest.mark.parametrize("seconds", [-HOURS, HOURS])
def test_the_oldest_message_is_as_old_as_it_is(told: Broker, host: Host, redis_: FakeRedis, seconds: float) -> None:
    host.is_ahead(seconds)
    told.get_actor("work").send("a")
    host.forward(4)

    assert queues(redis_, ["default"])[0].oldest_seconds == pytest.approx(4, abs=0.01)


def test_small_differences_change_no_message(told: Broker, host: Host, clock: Clock) -> None:
    host.is_ahead(0.2)
    assert told.get_actor("work").send("a").message_timestamp == clock.milliseconds + 200


def test_redis_is_asked_now_and_then_only(told: Broker, host: Host) -> None:
    for _ in range(20):
        told.get_actor("work").send("a")
    assert host.asked == 1
    host.forward(OFFSET_TTL_SECONDS)
    told.store.clock.now()
    assert host.asked == 2


def test_while_redis_is_unavailable_the_last_offset_is_used(told: Broker, host: Host, clock: Clock) -> None:
    host.is_ahead(HOURS)
    assert told.store.clock.now() == clock.milliseconds
    host.forward(OFFSET_TTL_SECONDS)
    host.fails = True

    assert [told.store.clock.now() for _ in range(5)] == [clock.milliseconds] * 5
    assert host.asked == 2
    host.forward(RETRY_SECONDS)
    assert told.store.clock.now() == clock.milliseconds
    assert host.asked == 3
    with pytest.raises(redis.exceptions.ConnectionError):
        told.store.clock.query()


def test_a_worker_keeps_the_start_by_which_it_is_known(told: Broker, host: Host) -> None:
    reporter = HeartbeatReporter(
        "worker_00", told, RestartLease(told.client, told.worker), queues=("default",), threads=1
    )
    signs = []
    for ahead in (0.0, HOURS, 0.013):
        host.is_ahead(ahead)
        host.forward(2.001)
        signs.append(reporter._state_by_redis_clock())

    assert len({sign["started"] for sign in signs}) == 1
    assert [round(sign["time"] - sign["started"]) for sign in signs] == [2, 4, 6]


def test_the_waiting_time_of_a_requeued_dead_letter_starts_then(
    told: Broker, host: Host, redis_: FakeRedis, clock: Clock
) -> None:
    host.is_ahead(-HOURS)
    told.middleware_of(Retries).max_retries = 0
    told.get_actor("work").send("breaks")
    outcome = run(told)
    assert outcome.result == "failed"
    told.store.ack("default", [outcome])

    told.dead_letters.retry(list(told.dead_letters.newest(["default"], limit=1)))
    payload = cast("list[bytes]", redis_.hvals(keys.payloads("default")))[0]
    assert dramatiq.Message.decode(payload).options["eta"] == clock.milliseconds
