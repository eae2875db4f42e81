"""A Redis that restarts, dies, hangs, is full, cannot be written to or does not know us: nothing accepted is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from testcontainers.core.network import Network

from tandem.broker import keys
from tests.chaos.cluster import Cluster
from tests.chaos.killer import Killer
from tests.chaos.plan import MESSAGES, draw
from tests.chaos.report import evaluate
from tests.chaos.sender import Sender
from tests.integration.containers import running
from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]
SEED = 4
TEXT = {"text": "The cluster is beautiful.", "source": "en", "target": "es"}


@pytest.fixture(scope="module", params=[False, True], ids=["embedded", "external"])
def shared_cluster(request: pytest.FixtureRequest, network: Network) -> Iterator[Cluster]:
    cluster = Cluster(network, external=request.param)
    running.extend(cluster.tandems)
    yield cluster.start()
    for tandem in cluster.tandems:
        running.remove(tandem)
    cluster.remove()


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """One with nothing in its queue: what an earlier test left is none of this one's."""
    shared_cluster.ask("FLUSHALL")
    return shared_cluster


# --- what befalls it ----------------------------------------------------------------------------------------------


@contextmanager
def restart(cluster: Cluster) -> Iterator[None]:
    if cluster.redis:
        cluster.redis.docker.restart(timeout=20)
    else:
        cluster.tandems[0].output("supervisorctl", "restart", "redis")
    yield


@contextmanager
def kill(cluster: Cluster) -> Iterator[None]:
    if cluster.redis:
        cluster.redis.docker.kill()
        cluster.redis.docker.start()
    else:
        cluster.signal(signal.SIGKILL, "redis", choice=0, tandem=cluster.tandems[0])
    yield


@contextmanager
def hang(cluster: Cluster) -> Iterator[None]:
    if cluster.redis:
        cluster.redis.docker.pause()
        yield
        cluster.redis.docker.unpause()
    else:
        cluster.tandems[0].output("supervisorctl", "signal", "STOP", "redis")
        yield
        cluster.tandems[0].output("supervisorctl", "signal", "CONT", "redis")


@contextmanager
def stop(cluster: Cluster) -> Iterator[None]:
    if cluster.redis:
        cluster.redis.docker.stop(timeout=20)
        yield
        cluster.redis.docker.start()
    else:
        cluster.tandems[0].output("supervisorctl", "stop", "redis")
        yield
        cluster.tandems[0].output("supervisorctl", "start", "redis")


@contextmanager
def cut(cluster: Cluster) -> Iterator[None]:
    """All connections, three times."""
    for _ in range(3):
        cluster.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.5)
    yield


@contextmanager
def read_only(cluster: Cluster) -> Iterator[None]:
    """A replica of something that is not there."""
    cluster.ask("REPLICAOF", "127.0.0.1", "1")
    yield
    cluster.ask("REPLICAOF", "NO", "ONE")


Trouble = Callable[[Cluster], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    # Eight seconds are longer than the timeout of any command.
    [(restart, 0), (kill, 0), (cut, 0), (hang, 8), (read_only, 3)],
    ids=["restart", "kill", "cut", "hang", "read-only"],
)
def test_an_outage_loses_no_message_and_requests_get_retry_after(
    cluster: Cluster, trouble: Trouble, seconds: int
) -> None:
    go_through(cluster, trouble, seconds, messages=80)


def test_messages_that_fail_and_are_retried_while_redis_is_stopped_are_not_lost(cluster: Cluster) -> None:
    go_through(cluster, stop, 10, messages=150, kinds={"flaky": 70, "always_fails": 10, "rest": 10, "note": 3})


def go_through(
    cluster: Cluster, trouble: Trouble, seconds: float, *, messages: int, kinds: dict[str, int] = MESSAGES
) -> None:
    """Send half of the messages before the outage, half during it, and check each of them."""
    (step,) = draw(SEED, messages=messages, kills=1, kinds=kinds)
    sender, killer = Sender(cluster.tandems), Killer(cluster)
    sender.start()
    half = len(step.requests) // 2
    for request in step.requests[:half]:
        sender.send(request)
    await_true(lambda: cluster.ask("LLEN", "chaos:runs") > 10, seconds=20, what="some run")
    with killer.recording(step.kill), trouble(cluster):
        over = time.monotonic() + seconds
        for request in step.requests[half:]:
            sender.send(request)
        if seconds:
            await_true(lambda: sender.sent.refusals["503"], seconds=20, what="a request is refused")
            time.sleep(max(0.0, over - time.monotonic()))
    sender.finish()
    verdict = evaluate(cluster, sender, killer, messages)
    sender.stop()
    print(verdict.summary())
    assert not verdict.broken, "\n".join(verdict.broken)
    assert verdict.counts["dead after three kills"] == 0


def test_a_killed_workers_message_runs_again_within_two_seconds(cluster: Cluster) -> None:
    waits = sorted(seconds_until_it_runs_again(cluster, f"rest-{number}") for number in range(3))

    print(f"ran again after {waits} s")
    assert waits[1] <= 2


def seconds_until_it_runs_again(cluster: Cluster, id_: str) -> float:
    post(cluster.tandems[0], "rest", id_, 2)
    runs(cluster, id_, 1)
    (held,) = cluster.ask("KEYS", keys.claimed("*", "chaos"))
    host, process = held.split(":")[-3:-1]
    tandem = next(one for one in cluster.tandems if one.docker.id.startswith(host))

    killed = cluster.signal(signal.SIGKILL, process, choice=0, tandem=tandem)

    again = runs(cluster, id_, 2)[1]
    await_true(lambda: not cluster.left(), seconds=20, what="its end")
    return again - killed


def test_a_lost_containers_message_runs_again_in_the_other_within_fifteen_seconds(network: Network) -> None:
    cluster = Cluster(network, external=True)
    running.extend(cluster.tandems)
    try:
        cluster.start()
        lost, other = cluster.tandems
        other.output("supervisorctl", "stop", "worker:*")
        post(lost, "rest", "first", 20)
        runs(cluster, "first", 1)
        other.output("supervisorctl", "start", "worker:*")
        await_true(lambda: len(cluster.ask("HKEYS", "tandem:workers")) == 4, seconds=20, what="four workers")

        killed = time.time()
        lost.docker.kill()

        again = runs(cluster, "first", 2)[1]
        print(f"ran again {again - killed:.2f} s later")
        assert again - killed <= 15
    finally:
        for tandem in cluster.tandems:
            running.remove(tandem)
        cluster.remove()


def post(tandem: Tandem, actor: str, *arguments: object) -> None:
    answer = tandem.request("POST", "/load", json=[[actor, arguments, None]])
    assert answer.status_code == 202, answer.text


def runs(cluster: Cluster, id_: str, count: int) -> list[float]:
    """Wait for a number of runs of a message, and return their times."""

    def seen() -> list[float]:
        lines = (line.split() for line in cluster.ask("LRANGE", "chaos:runs", "0", "-1"))
        return [float(at) for name, at in lines if name == id_]

    return await_true(lambda: seen() if len(seen()) >= count else [], seconds=30, what=f"{count} runs of {id_}")
