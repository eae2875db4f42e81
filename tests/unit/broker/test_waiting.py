"""Who waits for messages claims them in the same round trip, and only one worker wakes for each."""

from __future__ import annotations

import time
from threading import Thread

import pytest
from fakeredis import FakeRedis

from tandem.broker import keys
from tandem.broker.store import MessageStore
from tests.unit.harness import FIRST, SECOND, broker_on, eventually, ids, send

LONG = 60.0


class Waiting:
    """A worker that waits for messages on a thread of its own."""

    def __init__(self, client: FakeRedis, name: str) -> None:
        self.store = MessageStore(client, worker=name)
        self.claimed: list[str] | None = None
        self.thread = Thread(target=self._wait, daemon=True)
        self.thread.start()

    def _wait(self) -> None:
        self.claimed = ids(self.store.claim_batch(("first", "default"), 5, wait=LONG)[0])


@pytest.fixture
def waiting(redis_: FakeRedis) -> Waiting:
    return Waiting(redis_, FIRST)


def test_a_message_is_claimed_as_soon_as_it_is_sent(redis_: FakeRedis, waiting: Waiting) -> None:
    send(broker_on(redis_), "a")
    eventually(lambda: waiting.claimed == ["a"])


def test_a_message_from_before_is_claimed_at_once(redis_: FakeRedis) -> None:
    send(broker_on(redis_), "a")
    late = Waiting(redis_, FIRST)
    eventually(lambda: late.claimed == ["a"])


def test_one_message_wakes_one_worker(redis_: FakeRedis, waiting: Waiting) -> None:
    both = [waiting, Waiting(redis_, SECOND)]
    send(broker_on(redis_), "a")
    eventually(lambda: any(worker.claimed for worker in both))
    assert [worker.claimed for worker in both].count(None) == 1
    send(broker_on(redis_), "b")
    eventually(lambda: sorted(str(worker.claimed) for worker in both) == ["['a']", "['b']"])


def test_a_wait_ends_when_the_worker_stops(redis_: FakeRedis, waiting: Waiting) -> None:
    waiting.store.stop_waiting()
    eventually(lambda: waiting.claimed == [])
    waiting.store.stop_waiting()
    assert 0 < redis_.ttl(keys.wake(FIRST)) <= 10
    again = Waiting(redis_, FIRST)
    eventually(lambda: again.claimed == [])


def test_a_wait_ends_when_its_time_is_over(redis_: FakeRedis) -> None:
    began = time.monotonic()
    assert MessageStore(redis_, worker=FIRST).claim_batch(("default",), 5, wait=0.05) == ([], None)
    assert time.monotonic() - began >= 0.05


def test_a_redis_that_has_lost_the_scripts_gets_them_again(redis_: FakeRedis) -> None:
    send(broker_on(redis_), "a")
    redis_.script_flush()
    late = Waiting(redis_, FIRST)
    eventually(lambda: late.claimed == ["a"])
