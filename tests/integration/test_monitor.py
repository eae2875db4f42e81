"""Every alert, provoked once for real: one call raises it and one clears it, whatever else happens meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from testcontainers.core.network import Network

from tests.integration.containers import running
from tests.integration.tandem import Receiver, Tandem, await_true

Start = Callable[..., Tandem]

LIMITS = {
    "ALERT_INTERVAL": "1",
    "ALERT_QUEUE_DEPTH": "5",
    "ALERT_WAIT": "3",
    "ALERT_WORKER_DOWN": "5",
    "ALERT_RESTARTS": "3",
    "ALERT_MEMORY": "450M",
    "ALERT_DISK": "0.97",
    "ALERT_WEBHOOK_URL": Receiver.url,
}
SECRET = "the-secret-in-the-url"  # noqa: S105


@pytest.fixture(scope="module")
def upstream(network: Network) -> Iterator[Receiver]:
    """A service that the application depends on, and that may go away."""
    upstream = Receiver(network, alias="upstream")
    running.append(upstream)
    yield upstream.start()
    running.remove(upstream)
    upstream.remove()


@pytest.fixture(scope="module")
def tandem(network: Network, upstream: Receiver, receiver: Receiver) -> Iterator[Tandem]:
    """One container for all: each test leaves it as it found it."""
    settings = {**LIMITS, "UPSTREAM_URL": "http://upstream:8080", "WORKER_MEMORY_LIMIT": "1G"}
    settings["ALERT_WEBHOOK_URL"] = f"{Receiver.url}?key={SECRET}"
    logs = {"/var/log/supervisor": "size=20m,uid=10001,gid=10001"}
    tandem = Tandem(network, settings, tmpfs=logs)
    running.append(tandem)
    tandem.start().await_healthy()
    # What a queue with this name is to the monitor; workers and senders will note it themselves.
    tandem.redis("SADD", "tandem:queues", "work", "backlog")
    yield tandem
    running.remove(tandem)
    tandem.remove()


class Story:
    """The notifications that the receiver gets from one container, from now on."""

    def __init__(self, receiver: Receiver, tandem: Tandem) -> None:
        self._receiver = receiver
        self._before = len(receiver.calls())
        self.host = tandem.output("hostname").strip()

    def states(self, name: str) -> list[str]:
        """The calls of one alert."""
        return [str(call["state"]) for call in self.calls(name)]

    def calls(self, name: str) -> list[dict[str, object]]:
        return [
            call
            for call in self._receiver.calls()[self._before :]
            if call.get("alert") == name and call["text"].startswith(f"{self.host}: ")
        ]

    def await_raised(self, *names: str) -> None:
        for name in names:
            await_true(lambda name=name: self.states(name), seconds=30, what=f"{name} is raised")  # type: ignore[misc]

    def await_cleared(self, *names: str) -> None:
        for name in names:
            await_true(lambda name=name: "cleared" in self.states(name), seconds=30, what=f"{name} is cleared")  # type: ignore[misc]
            assert self.states(name) == ["raised", "cleared"]


@pytest.fixture
def story(receiver: Receiver, tandem: Tandem) -> Story:
    return Story(receiver, tandem)


def test_workers_that_are_down_and_a_queue_that_grows_and_waits(tandem: Tandem, story: Story) -> None:
    tandem.output("supervisorctl", "stop", "worker:*")
    tandem.send("count", "counted", "n", times=8)

    story.await_raised("workers", "queue-depth", "oldest-message")
    call = story.calls("queue-depth")[0]
    assert call["value"] == 8 and call["threshold"] == 5
    assert "8 in work, more than 5 (ALERT_QUEUE_DEPTH)" in str(call["text"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(call["since"]))
    tandem.output("supervisorctl", "start", "worker:*")
    story.await_cleared("workers", "queue-depth", "oldest-message")


def test_a_fatal_worker_is_down(tandem: Tandem, story: Story) -> None:
    configuration = "/run/tandem/programs/worker.conf"
    tandem.output("sed", "-i", "s/^command=.*/command=false/; s/^startretries=.*/startretries=0/", configuration)
    tandem.run("supervisorctl", "update")
    await_true(lambda: tandem.states()["worker:worker_00"] == "FATAL", seconds=20, what="the worker is given up")
    story.await_raised("workers")

    tandem.output("cp", "/etc/supervisor/programs/worker.conf", configuration)
    tandem.run("supervisorctl", "update")
    story.await_cleared("workers")
    _forget_ends(tandem)


def test_many_failures(tandem: Tandem, story: Story) -> None:
    counts = f"tandem:counts:60:{_now(tandem) // 60}"
    tandem.redis("HSET", counts, "count\tcompleted", "17000", "count\tfailed", "3000", "count\tretried", "50000")

    story.await_raised("failure-rate")
    assert re.search(r"3000 of 20\d\d\d messages \(15%\) failed for good", str(story.calls("failure-rate")[0]["text"]))
    tandem.redis("DEL", counts)
    story.await_cleared("failure-rate")


def test_a_delayed_message_that_is_stuck_and_a_monitor_that_is_killed(tandem: Tandem, story: Story) -> None:
    tandem.redis("ZADD", "dramatiq:backlog.delayed", str((_now(tandem) - 100) * 1000), "some-id")
    story.await_raised("delayed-messages")
    before = tandem.output("supervisorctl", "pid", "monitor")

    code, shown = tandem.run("queue", "health")
    assert code == 0
    assert re.search(r"^warn  alert delayed-messages .*due for 1\d\d s in backlog.* \(since 20", shown, re.MULTILINE)
    tandem.output("supervisorctl", "signal", "KILL", "monitor")
    await_true(
        lambda: tandem.output("supervisorctl", "pid", "monitor") not in (before, "0\n"),
        seconds=10,
        what="a new monitor",
    )
    looked = _looked_at(tandem, "delayed-messages")
    await_true(lambda: _looked_at(tandem, "delayed-messages") > looked + 2, seconds=20, what="it looks")
    assert story.states("delayed-messages") == ["raised"]

    tandem.redis("DEL", "dramatiq:backlog.delayed")
    story.await_cleared("delayed-messages")
    await_true(lambda: "alert" not in tandem.run("queue", "health")[1], seconds=10, what="health is quiet")


def test_memory(tandem: Tandem, story: Story) -> None:
    tandem.send("leak", "leaked", 400)
    story.await_raised("memory")
    tandem.output("supervisorctl", "restart", "worker:*")
    story.await_cleared("memory")


def test_a_full_disk(tandem: Tandem, story: Story) -> None:
    tandem.run("sh", "-c", "dd if=/dev/zero of=/var/log/supervisor/filler bs=64k")
    story.await_raised("disk")
    assert "the disk of /var/log/supervisor is" in str(story.calls("disk")[0]["text"])
    tandem.output("rm", "/var/log/supervisor/filler")
    story.await_cleared("disk")


def test_restarts(tandem: Tandem, story: Story) -> None:
    tandem.output("supervisorctl", "restart", "worker:worker_01")  # on purpose, so it does not count
    for _ in range(3):
        await_true(lambda: tandem.states()["worker:worker_00"] == "RUNNING", seconds=10, what="it runs")
        tandem.output("supervisorctl", "signal", "KILL", "worker:worker_00")
    story.await_raised("restarts")
    assert "worker_00 3 times" in str(story.calls("restarts")[0]["text"])
    _forget_ends(tandem)
    story.await_cleared("restarts")


def test_redis_away(tandem: Tandem, story: Story) -> None:
    tandem.output("supervisorctl", "stop", "redis")
    story.await_raised("redis")
    assert "alert redis" in tandem.run("queue", "health")[1]
    tandem.output("supervisorctl", "start", "redis")
    story.await_cleared("redis")


def test_web_away(tandem: Tandem, story: Story) -> None:
    tandem.output("supervisorctl", "stop", "web")
    story.await_raised("web")
    tandem.output("supervisorctl", "start", "web")
    story.await_cleared("web")


def test_a_dependency_away(tandem: Tandem, upstream: Receiver, story: Story) -> None:
    upstream.docker.stop(timeout=1)
    story.await_raised("upstream")
    upstream.docker.start()
    story.await_cleared("upstream")


def test_each_is_logged_once_and_no_secret_with_it(tandem: Tandem, receiver: Receiver) -> None:
    """Runs last: it checks the notifications of all other tests."""
    log = tandem.output("cat", "/var/log/supervisor/monitor.log")
    states = [call["state"] for call in receiver.calls() if "alert" in call]

    assert len(re.findall(r" WARNING monitor .*: alert [\w -]+ raised: ", log)) == states.count("raised")
    assert len(re.findall(r" INFO    monitor .*: alert [\w -]+ cleared after \d+ s: ", log)) == states.count("cleared")
    assert states.count("raised") == states.count("cleared") >= 10
    assert SECRET not in tandem.logs()


def test_of_two_containers_on_one_redis_one_notifies_of_the_queue(
    redis_elsewhere: str, start: Start, receiver: Receiver
) -> None:
    settings = {**LIMITS, "REDIS_URL": f"redis://{redis_elsewhere}:6379/0", "PROGRAMS": "monitor,eventlistener"}
    before = len(receiver.calls())
    containers = [start(**settings).await_healthy() for _ in range(2)]
    cli = ("redis-cli", "-h", redis_elsewhere)

    def calls(name: str) -> list[str]:
        return [call["state"] for call in receiver.calls()[before:] if call.get("alert") == name]

    containers[0].output(*cli, "SADD", "tandem:queues", "backlog")
    containers[0].output(*cli, "RPUSH", "dramatiq:backlog", *"abcdefgh")
    await_true(lambda: calls("queue-depth"), seconds=20, what="the queue is told of")
    for container in containers:
        assert "alert queue-depth" in container.output("queue", "health")
    containers[0].output(*cli, "DEL", "dramatiq:backlog")
    await_true(lambda: "cleared" in calls("queue-depth"), seconds=20, what="its end is told of")
    # Some checks later it has not been sent again.
    containers[0].output(*cli, "ZADD", "dramatiq:backlog.delayed", "1", "some-id")
    await_true(lambda: calls("delayed-messages"), seconds=20, what="another one")
    containers[0].output(*cli, "DEL", "dramatiq:backlog.delayed")
    await_true(lambda: "cleared" in calls("delayed-messages"), seconds=20, what="its end")
    assert calls("queue-depth") == calls("delayed-messages") == ["raised", "cleared"]


def _now(tandem: Tandem) -> int:
    return int(tandem.redis("TIME").split()[0])


def _forget_ends(tandem: Tandem) -> None:
    """Ten minutes of quiet, made short: what the tests must not wait for is only the clock."""
    tandem.output("sed", "-i", "-E", "s/^[0-9.]+ /1 /", "/run/tandem/restarts")


def _looked_at(tandem: Tandem, name: str) -> float:
    """When an alert of the queue was last seen to hold."""
    return float(json.loads(tandem.redis("HGET", "tandem:alerts", name))["seen"])
