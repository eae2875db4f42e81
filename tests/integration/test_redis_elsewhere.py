"""A Redis that asks for a password or TLS, is replaced by Sentinel, or has its memory full."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from testcontainers.core.network import Network

from tests.chaos.house import CERTIFICATES, Redis
from tests.integration.tandem import Model, Tandem, await_true

Start = Callable[..., Tandem]
TEXT = {"text": "The house is beautiful.", "source": "en", "target": "es"}


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
    url = f"redis+sentinel://{sentinel.name}:26379/tandem"
    tandem = start(REDIS_URL=url, RATE_LIMIT="600").await_healthy()
    is_done(tandem)

    sentinel.cli("SENTINEL", "FAILOVER", "tandem")
    await_true(lambda: is_replica(first), seconds=40, what="the first one follows the second one")

    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=30, what="it has found the new one")
    is_done(tandem)
    assert "done" in second.cli("EVAL", STATES, "0")
    assert "tandem:rate:" in second.cli("KEYS", "tandem:rate:*"), "requests are counted where the queue is"


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
