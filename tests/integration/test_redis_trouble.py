"""A Redis that restarts, dies, hangs, is full, cannot be written to or does not know us: nothing accepted is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from testcontainers.core.network import Network

from app.queueing import keys
from tests.chaos.house import House
from tests.chaos.killer import Killer
from tests.chaos.plan import MESSAGES, draw
from tests.chaos.sender import Sender
from tests.chaos.verdict import judge
from tests.integration.containers import running
from tests.integration.tandem import Model, Tandem, await_true

Start = Callable[..., Tandem]
SEED = 4
TEXT = {"text": "The house is beautiful.", "source": "en", "target": "es"}


@pytest.fixture(scope="module", params=[False, True], ids=["embedded", "external"])
def shared_house(request: pytest.FixtureRequest, network: Network, model: Model) -> Iterator[House]:
    house = House(network, external=request.param, model=model)
    running.extend(house.tandems)
    yield house.start()
    for tandem in house.tandems:
        running.remove(tandem)
    house.remove()


@pytest.fixture
def house(shared_house: House) -> House:
    """One with nothing in its queue: what an earlier test left is none of this one's."""
    shared_house.ask("FLUSHALL")
    return shared_house


# --- what befalls it ----------------------------------------------------------------------------------------------


@contextmanager
def restart(house: House) -> Iterator[None]:
    if house.redis:
        house.redis.docker.restart(timeout=20)
    else:
        house.tandems[0].output("supervisorctl", "restart", "redis")
    yield


@contextmanager
def kill(house: House) -> Iterator[None]:
    if house.redis:
        house.redis.docker.kill()
        house.redis.docker.start()
    else:
        house.signal(signal.SIGKILL, "redis", choice=0, tandem=house.tandems[0])
    yield


@contextmanager
def hang(house: House) -> Iterator[None]:
    if house.redis:
        house.redis.docker.pause()
        yield
        house.redis.docker.unpause()
    else:
        house.tandems[0].output("supervisorctl", "signal", "STOP", "redis")
        yield
        house.tandems[0].output("supervisorctl", "signal", "CONT", "redis")


@contextmanager
def stop(house: House) -> Iterator[None]:
    if house.redis:
        house.redis.docker.stop(timeout=20)
        yield
        house.redis.docker.start()
    else:
        house.tandems[0].output("supervisorctl", "stop", "redis")
        yield
        house.tandems[0].output("supervisorctl", "start", "redis")


@contextmanager
def cut(house: House) -> Iterator[None]:
    """All connections, three times."""
    for _ in range(3):
        house.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.5)
    yield


@contextmanager
def read_only(house: House) -> Iterator[None]:
    """A replica of something that is not there."""
    house.ask("REPLICAOF", "127.0.0.1", "1")
    yield
    house.ask("REPLICAOF", "NO", "ONE")


Trouble = Callable[[House], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    # Eight seconds are longer than anybody waits for an answer.
    [(restart, 0), (kill, 0), (cut, 0), (hang, 8), (read_only, 3)],
    ids=["restart", "kill", "cut", "hang", "read-only"],
)
def test_trouble_costs_no_message_and_requests_are_told_when_to_come_again(
    house: House, trouble: Trouble, seconds: int
) -> None:
    go_through(house, trouble, seconds, messages=80)


def test_messages_that_fail_and_are_retried_while_redis_is_stopped_are_not_lost(house: House) -> None:
    go_through(house, stop, 10, messages=150, kinds={"falter": 70, "despair": 10, "rest": 10, "translate": 3})


def go_through(
    house: House, trouble: Trouble, seconds: float, *, messages: int, kinds: dict[str, int] = MESSAGES
) -> None:
    """Sends half of the messages before the trouble, half in it, and looks at each of them."""
    (step,) = draw(SEED, messages=messages, kills=1, kinds=kinds)
    sender, killer = Sender(house.tandems), Killer(house)
    sender.start()
    half = len(step.requests) // 2
    for request in step.requests[:half]:
        sender.send(request)
    await_true(lambda: house.ask("LLEN", "chaos:runs") > 10, seconds=20, what="some run")
    with killer.noting(step.kill), trouble(house):
        over = time.monotonic() + seconds
        for request in step.requests[half:]:
            sender.send(request)
        if seconds:
            await_true(lambda: sender.sent.refusals["503"], seconds=20, what="a request is refused")
            time.sleep(max(0.0, over - time.monotonic()))
    sender.finish()
    verdict = judge(house, sender, killer, messages)
    sender.stop()
    print(verdict.summary())
    assert not verdict.broken, "\n".join(verdict.broken)
    assert verdict.counts["dead after three kills"] == 0


def test_a_killed_workers_message_runs_again_within_two_seconds(house: House) -> None:
    waits = sorted(seconds_until_it_runs_again(house, f"rest-{number}") for number in range(3))

    print(f"ran again after {waits} s")
    assert waits[1] <= 2


def seconds_until_it_runs_again(house: House, id_: str) -> float:
    post(house.tandems[0], "rest", id_, 2)
    runs(house, id_, 1)
    (held,) = house.ask("KEYS", keys.held("*", "chaos"))
    host, process = held.split(":")[-3:-1]
    tandem = next(one for one in house.tandems if one.docker.id.startswith(host))

    killed = house.signal(signal.SIGKILL, process, choice=0, tandem=tandem)

    again = runs(house, id_, 2)[1]
    await_true(lambda: not house.left(), seconds=20, what="its end")
    return again - killed


def test_a_lost_containers_message_runs_again_in_the_other_within_fifteen_seconds(
    network: Network, model: Model
) -> None:
    house = House(network, external=True, model=model)
    running.extend(house.tandems)
    try:
        house.start()
        lost, other = house.tandems
        other.output("supervisorctl", "stop", "worker:*")
        post(lost, "rest", "first", 20)
        runs(house, "first", 1)
        other.output("supervisorctl", "start", "worker:*")
        await_true(lambda: len(house.ask("HKEYS", "tandem:workers")) == 4, seconds=20, what="four workers")

        killed = time.time()
        lost.docker.kill()

        again = runs(house, "first", 2)[1]
        print(f"ran again {again - killed:.2f} s later")
        assert again - killed <= 15
    finally:
        for tandem in house.tandems:
            running.remove(tandem)
        house.remove()


def post(tandem: Tandem, actor: str, *arguments: object) -> None:
    answer = tandem.request("POST", "/load", json=[[actor, arguments, None]])
    assert answer.status_code == 202, answer.text


def runs(house: House, id_: str, count: int) -> list[float]:
    """The times of so many runs of a message, once there are as many."""

    def seen() -> list[float]:
        lines = (line.split() for line in house.ask("LRANGE", "chaos:runs", "0", "-1"))
        return [float(at) for name, at in lines if name == id_]

    return await_true(lambda: seen() if len(seen()) >= count else [], seconds=30, what=f"{count} runs of {id_}")
