"""A Redis that asks for a password or TLS, is replaced by Sentinel, or has its memory full."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from testcontainers.core.network import Network

from tandem.broker import accounts
from tests.chaos.cluster import CERTIFICATES, Redis
from tests.integration.tandem import Tandem, await_true
from tests.paths import ROOT

Start = Callable[..., Tandem]
DOCS = ROOT / "docs" / "how-to" / "use-another-redis.md"
TEXT = {"text": "The house is beautiful."}


# --- full memory --------------------------------------------------------------------------------------------------


def test_a_full_memory_refuses_new_messages_and_the_accepted_ones_go_on(start: Start) -> None:
    tandem = start(REDIS_MAXMEMORY="32M").await_healthy()
    assert tandem.redis("CONFIG", "GET", "maxmemory").split()[1] == str(32 * 2**20)
    assert tandem.redis("CONFIG", "GET", "maxmemory-policy").split()[1] == "noeviction"
    tandem.output("queue", "pause", "notes")
    accepted = [tandem.hand_in(TEXT["text"]) for _ in range(5)]
    # Below the current usage: completely full, whatever changes meanwhile.
    tandem.redis("CONFIG", "SET", "maxmemory", "1mb")

    answer = tandem.request("POST", "/notes", json=TEXT)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "memory is full" in answer.json()["detail"]
    assert "messages cannot be stored: Redis's memory is full" in tandem.run("queue", "health")[1]

    # A worker that begins now can do all of it as well.
    tandem.output("supervisorctl", "restart", "worker:*")
    tandem.output("queue", "resume", "notes")
    assert {tandem.ended(id_)["status"] for id_ in accepted} == {"done"}
    assert tandem.request("POST", "/notes", json=TEXT).status_code == 503

    tandem.redis("CONFIG", "SET", "maxmemory", "32mb")
    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=10, what="healthy again")
    is_done(tandem)


# --- what it must be ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "fail redis setup Redis drops accepted messages"),
        (("--maxmemory-policy", "volatile-lru"), "warn redis setup Redis drops results before they expire"),
        (("--appendonly", "no"), "warn redis setup Redis keeps no append-only file"),
    ],
)
def test_a_risk_of_data_loss_is_reported_from_the_first_check(
    options: tuple[str, ...], said: str, start: Start, start_redis: Callable[..., Redis]
) -> None:
    tandem = start(REDIS_URL=start_redis(*options).url, WORKERS="1")
    await_true(lambda: said in tandem.health(), seconds=60, what=said)


def test_a_cluster_is_refused_in_one_line_by_health_and_by_each_worker(
    start: Start, start_redis: Callable[..., Redis]
) -> None:
    redis = start_redis("--cluster-enabled", "yes")
    tandem = start(REDIS_URL=redis.url.removesuffix("/0"), WORKERS="1")

    await_true(lambda: "fail redis setup" in tandem.health(), seconds=60, what="health fails")
    assert "Redis is in cluster mode, in which no message can be sent" in tandem.run("queue", "health")[1]
    await_true(lambda: "no message is handled" in tandem.worker_log(), seconds=60, what="the worker says so")
    assert tandem.worker_log().count("no message is handled: Redis is in cluster mode") == 1
    assert tandem.request("GET", "/readyz").status_code == 503


def documented_rights() -> str:
    """Return the rights that the documentation gives to Tandem's user."""
    (line,) = [line for line in DOCS.read_text().splitlines() if "ACL SETUSER tandem " in line]
    return line.partition("ACL SETUSER tandem ")[2].strip("`|").replace("'", "")


def test_with_the_documented_rights_everything_works(start: Start, start_redis: Callable[..., Redis]) -> None:
    redis = start_redis()
    rights = documented_rights().replace("PASSWORD", "sesame").split()
    assert accounts.COMMANDS.split() == rights[-len(accounts.COMMANDS.split()) :]
    assert await_true(lambda: redis.cli("ACL", "SETUSER", "tandem", *rights), seconds=20, what="Redis").strip() == "OK"
    tandem = start(REDIS_URL=f"redis://tandem:sesame@{redis.name}:6379/0", CALLBACK_SECRET="x" * 32).await_healthy()

    is_done(tandem)
    assert "ok redis setup" in tandem.health()
    for command in (("stats",), ("failed", "show"), ("pause", "notes"), ("resume", "notes")):
        tandem.output("queue", *command)
    tandem.output("queue", "purge", "notes", "--force")
    tandem.output("queue", "stop-workers")
    id_ = tandem.hand_in(TEXT["text"])
    assert "event: " in tandem.request("GET", f"/notes/{id_}/events").text
    is_done(tandem)
    assert redis.cli("ACL", "LOG").strip() in ("", "(empty array)")


def test_without_info_the_checks_warn_and_everything_works(start: Start, start_redis: Callable[..., Redis]) -> None:
    redis = start_redis()
    rights = documented_rights().replace("PASSWORD", "sesame").replace(" +info", "").split()
    assert await_true(lambda: redis.cli("ACL", "SETUSER", "tandem", *rights), seconds=20, what="Redis").strip() == "OK"
    tandem = start(REDIS_URL=f"redis://tandem:sesame@{redis.name}:6379/0").await_healthy()

    is_done(tandem)
    said = tandem.health()
    assert "warn redis setup version, role, cluster mode, eviction and append-only file are unknown" in said
    assert tandem.request("GET", "/readyz").status_code == 200


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
    assert tandem.ended(tandem.hand_in(TEXT["text"]))["status"] == "done"


def test_a_wrong_password_is_reported_and_with_the_right_one_the_database_of_the_url_is_used(
    start: Start, start_redis: Callable[..., Redis]
) -> None:
    redis = start_redis("--requirepass", "other")
    tandem = start(REDIS_URL=f"redis://:sesame@{redis.name}:6379/3")

    def reported() -> bool:
        return "fail redis Redis does not answer: invalid username-password" in tandem.health()

    await_true(reported, seconds=30, what="health says it")
    await_true(lambda: "ok web answers" in tandem.health(), seconds=30, what="the web answers")
    answer = tandem.request("POST", "/notes", json=TEXT)
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
    await_true(lambda: "waiting for Redis: invalid username-password" in tandem.worker_log(), seconds=10, what="a line")

    redis.cli("-a", "other", "CONFIG", "SET", "requirepass", "sesame")

    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=30, what="it recovers by itself")
    is_done(tandem)
    assert "db3:keys=" in redis.cli("-a", "sesame", "INFO", "keyspace")
    assert "db0:" not in redis.cli("-a", "sesame", "INFO", "keyspace")
    assert "sesame" not in tandem.logs()


def test_a_redis_with_tls_is_trusted_only_with_its_authority(
    start: Start, start_redis: Callable[..., Redis], tmp_path: Path
) -> None:
    name = make_certificates(tmp_path)
    folder = str(tmp_path)
    files = ("--tls-cert-file", f"{CERTIFICATES}/server.crt", "--tls-key-file", f"{CERTIFICATES}/server.key")
    ports = ("--port", "0", "--tls-port", "6379", "--tls-auth-clients", "no")
    redis = start_redis(*ports, *files, "--tls-ca-cert-file", f"{CERTIFICATES}/ca.crt", folder=folder, name=name)
    url = redis.url.replace("redis://", "rediss://")
    believed = start(REDIS_URL=f"{url}?ssl_ca_certs={CERTIFICATES}/ca.crt", options={"volumes": {folder: CERTIFICATES}})
    stranger = start(REDIS_URL=url, PROGRAMS="web,eventlistener")

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


def test_a_failover_of_sentinel_is_followed(start: Start, start_redis: Callable[..., Redis]) -> None:
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
for number, key in ipairs(redis.call('KEYS', 'tandem:note:*')) do
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
