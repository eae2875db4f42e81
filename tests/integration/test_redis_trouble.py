"""A Redis that restarts, dies, hangs, is full, cannot be written to or does not know us: nothing accepted is lost."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from testcontainers.core.network import Network

from tests.chaos.house import CERTIFICATES, House, Redis
from tests.chaos.killer import Killer
from tests.chaos.plan import MESSAGES, draw
from tests.chaos.sender import Sender
from tests.chaos.verdict import judge
from tests.integration.conftest import running
from tests.integration.tandem import Model, Tandem, await_true

Start = Callable[..., Tandem]
SEED = 4
TEXT = {"text": "The house is beautiful.", "source": "en", "target": "es"}

places = [
    pytest.param(False, id="embedded", marks=pytest.mark.xdist_group("embedded redis")),
    pytest.param(True, id="external", marks=pytest.mark.xdist_group("external redis")),
]


@pytest.fixture(scope="module", params=places)
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


def restart(house: House) -> None:
    if house.redis:
        house.redis.docker.restart(timeout=20)
    else:
        house.tandems[0].output("supervisorctl", "restart", "redis")


def kill(house: House) -> None:
    if house.redis:
        house.redis.docker.kill()
        house.redis.docker.start()
    else:
        house.signal(signal.SIGKILL, "redis", choice=0, tandem=house.tandems[0])


def hang(house: House) -> None:
    """For eight seconds, longer than anybody waits for an answer."""
    if house.redis:
        house.redis.docker.pause()
        time.sleep(8)
        house.redis.docker.unpause()
    else:
        house.tandems[0].output("supervisorctl", "signal", "STOP", "redis")
        time.sleep(8)
        house.tandems[0].output("supervisorctl", "signal", "CONT", "redis")


def stop(house: House) -> None:
    """For ten seconds."""
    if house.redis:
        house.redis.docker.stop(timeout=20)
        time.sleep(10)
        house.redis.docker.start()
    else:
        house.tandems[0].output("supervisorctl", "stop", "redis")
        time.sleep(10)
        house.tandems[0].output("supervisorctl", "start", "redis")


def cut(house: House) -> None:
    """All connections, three times."""
    for _ in range(3):
        house.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.5)


def read_only(house: House) -> None:
    """A replica of something that is not there, for three seconds."""
    house.ask("REPLICAOF", "127.0.0.1", "1")
    time.sleep(3)
    house.ask("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(
    ("trouble", "refuses"),
    [(restart, False), (kill, False), (hang, True), (cut, False), (read_only, True)],
)
def test_trouble_costs_no_message_and_requests_are_told_when_to_come_again(
    house: House, trouble: Callable[[House], None], refuses: bool
) -> None:
    go_through(house, trouble, messages=80, refuses=refuses)


def test_messages_that_fail_and_are_retried_while_redis_is_stopped_are_not_lost(house: House) -> None:
    go_through(house, stop, messages=150, refuses=True, kinds={"falter": 70, "despair": 10, "rest": 10, "translate": 3})


def go_through(
    house: House,
    trouble: Callable[[House], None],
    *,
    messages: int,
    refuses: bool,
    kinds: dict[str, int] = MESSAGES,
) -> None:
    """Sends half of the messages before the trouble, half while it lasts, and looks at each of them."""
    (step,) = draw(SEED, messages=messages, kills=1, kinds=kinds)
    sender, killer = Sender(house.tandems), Killer(house)
    sender.start()
    half = len(step.requests) // 2
    for request in step.requests[:half]:
        sender.send(request)
    await_true(lambda: house.ask("LLEN", "chaos:runs") > 10, seconds=20, what="some run")
    for request in step.requests[half:]:
        sender.send(request)
    with killer.noting(step.kill):
        trouble(house)
    sender.finish()
    verdict = judge(house, sender, killer, messages)
    sender.stop()
    print(verdict.summary())
    assert not verdict.broken, "\n".join(verdict.broken)
    assert verdict.counts["dead after three kills"] == 0
    if refuses:
        assert sender.sent.refusals["503"]


def test_a_killed_workers_message_runs_again_within_two_seconds(house: House) -> None:
    waits = sorted(seconds_until_it_runs_again(house, f"rest-{number}") for number in range(3))

    print(f"ran again after {waits} s")
    assert waits[1] <= 2


def seconds_until_it_runs_again(house: House, id_: str) -> float:
    post(house.tandems[0], "rest", id_, 2)
    runs(house, id_, 1)
    (held,) = house.ask("KEYS", "dramatiq:__acks__.*.chaos")
    host, _, process = held.removeprefix("dramatiq:__acks__.").removesuffix(".chaos").partition(":")
    tandem = next(one for one in house.tandems if one.docker.id.startswith(host))

    killed = time.time()
    house.signal(signal.SIGKILL, process, choice=0, tandem=tandem)

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


# --- full memory --------------------------------------------------------------------------------------------------


def test_a_full_memory_refuses_new_messages_and_the_accepted_ones_go_on(start: Start, model: Model) -> None:
    tandem = start(REDIS_MAXMEMORY="32M").await_healthy()
    assert tandem.redis("CONFIG", "GET", "maxmemory").split()[1] == str(32 * 2**20)
    assert tandem.redis("CONFIG", "GET", "maxmemory-policy").split()[1] == "noeviction"
    tandem.output("queue", "pause", "translations")
    accepted = [tandem.translate(TEXT["text"], source="en")["id"] for _ in range(5)]
    # Below what is in use: as full as can be, whatever comes and goes meanwhile.
    tandem.redis("CONFIG", "SET", "maxmemory", "1mb")

    answer = tandem.request("POST", "/translations", json=TEXT)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "memory is full" in answer.json()["detail"]
    assert "messages cannot be stored: Redis's memory is full" in tandem.run("queue", "health")[1]

    # A worker that begins now can do all of it as well.
    tandem.output("supervisorctl", "restart", "worker:*")
    tandem.output("queue", "resume", "translations")
    assert {tandem.ended(id_)["status"] for id_ in accepted} == {"done"}
    assert tandem.request("POST", "/translations", json=TEXT).status_code == 503

    tandem.redis("CONFIG", "SET", "maxmemory", "32mb")
    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=10, what="healthy again")
    is_done(tandem)


# --- URLs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def start_redis(network: Network) -> Iterator[Callable[..., Redis]]:
    """Starts a Redis of the test's own with these options of redis-server."""
    own: list[Redis] = []

    def start_redis(*options: str, **more: Any) -> Redis:
        own.append(Redis(network, *options, **more))
        return own[-1].start()

    yield start_redis
    for redis in own:
        redis.remove()


def is_done(tandem: Tandem) -> None:
    assert tandem.ended(tandem.translate(TEXT["text"], source="en")["id"])["status"] == "done"


def test_a_wrong_password_is_told_and_when_it_is_right_all_goes_on_in_the_database_of_the_url(
    start: Start, start_redis: Callable[..., Redis], model: Model
) -> None:
    redis = start_redis("--requirepass", "other")
    tandem = start(REDIS_URL=f"redis://:sesame@{redis.name}:6379/3")

    def told() -> bool:
        return "fail  redis        Redis does not answer: invalid username-password" in tandem.run("queue", "health")[1]

    await_true(told, seconds=30, what="health says it")
    await_true(lambda: "ok    web answers" in tandem.run("queue", "health")[1], seconds=30, what="the web answers")
    answer = tandem.request("POST", "/translations", json=TEXT)
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
    await_true(lambda: "waiting for Redis: invalid username-password" in tandem.worker_log(), seconds=10, what="a line")

    redis.cli("-a", "other", "CONFIG", "SET", "requirepass", "sesame")

    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=30, what="it recovers by itself")
    is_done(tandem)
    assert "db3:keys=" in redis.cli("-a", "sesame", "INFO", "keyspace")
    assert "db0:" not in redis.cli("-a", "sesame", "INFO", "keyspace")
    assert "sesame" not in tandem.logs()


def test_a_redis_behind_tls_is_believed_only_with_its_authority(
    start: Start, start_redis: Callable[..., Redis], model: Model, tmp_path: Path
) -> None:
    name = make_certificates(tmp_path)
    folder = str(tmp_path)
    files = ("--tls-cert-file", f"{CERTIFICATES}/server.crt", "--tls-key-file", f"{CERTIFICATES}/server.key")
    ports = ("--port", "0", "--tls-port", "6379", "--tls-auth-clients", "no")
    redis = start_redis(*ports, *files, "--tls-ca-cert-file", f"{CERTIFICATES}/ca.crt", folder=folder, name=name)
    url = redis.url.replace("redis://", "rediss://")
    believed = start(REDIS_URL=f"{url}?ssl_ca_certs={CERTIFICATES}/ca.crt", options={"volumes": {folder: CERTIFICATES}})
    stranger = start(REDIS_URL=url, PROGRAMS="web,events")

    is_done(believed.await_healthy())
    await_true(lambda: "certificate verify failed" in stranger.run("queue", "health")[1], seconds=30, what="a refusal")
    assert "db0:keys=" in redis.cli("INFO", "keyspace")


def make_certificates(folder: Path) -> str:
    """An authority and the certificate of a server in this folder; the server's name."""
    name = f"redis-{uuid4().hex[:8]}"
    (folder / "names").write_text(f"subjectAltName=DNS:{name}\nauthorityKeyIdentifier=keyid\n")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -addext keyUsage=critical,keyCertSign "
        "-keyout ca.key -out ca.crt",
        f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    # The containers' user is another one.
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    return name


def test_a_failover_of_sentinel_is_followed(start: Start, start_redis: Callable[..., Redis], model: Model) -> None:
    first = start_redis()
    await_true(lambda: "PONG" in first.cli("PING"), seconds=20, what="the master")
    second = start_redis("--replicaof", first.name, "6379")
    await_true(lambda: is_replica(second), seconds=20, what="a replica")
    sentinel = start_redis(command=["sh", "-ec", SENTINEL.format(master=first.name)])
    await_true(lambda: "num-slaves\n1\n" in sentinel.cli("SENTINEL", "MASTER", "tandem"), seconds=30, what="both known")
    tandem = start(REDIS_URL=f"redis+sentinel://{sentinel.name}:26379/tandem").await_healthy()
    is_done(tandem)

    sentinel.cli("SENTINEL", "FAILOVER", "tandem")
    await_true(lambda: is_replica(first), seconds=40, what="the first one follows the second one")

    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=30, what="it has found the new one")
    is_done(tandem)
    assert "done" in second.cli("EVAL", STATES, "0")


def is_replica(redis: Redis) -> bool:
    said = redis.cli("INFO", "replication")
    return "role:slave" in said and "master_link_status:up" in said


STATES = """
local states = {}
for number, key in ipairs(redis.call('KEYS', 'tandem:translation:*')) do
  states[number] = redis.call('HGET', key, 'status')
end
return states
"""
SENTINEL = """
cat > /tmp/sentinel.conf <<END
bind 0.0.0.0
protected-mode no
port 26379
unixsocket /run/redis.sock
sentinel resolve-hostnames yes
sentinel monitor tandem {master} 6379 1
sentinel down-after-milliseconds tandem 2000
sentinel failover-timeout tandem 10000
END
exec redis-server /tmp/sentinel.conf --sentinel
"""
