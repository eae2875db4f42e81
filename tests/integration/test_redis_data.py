"""The volume of the embedded Redis: one container at a time, a full disk, a file that is not whole, and its users."""

from __future__ import annotations

import contextlib
import random
import re
import shlex
import string
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from docker.client import DockerClient
from docker.models.containers import Container
from docker.types import Mount

from tests.integration.tandem import IMAGE, LABEL, Tandem, await_true
from tests.paths import ROOT

Start = Callable[..., Tandem]
TEXT = {"text": "The house is beautiful."}
LOGS = "/var/log/supervisor"
AOF = "/data/appendonlydir"
NEWEST = f"{AOF}/appendonly.aof.1.incr.aof"
USER = 10001


class Volume:
    """A volume, and what is done to it while no container of ours runs on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._docker = DockerClient.from_env()

    def at(self, folder: str) -> dict[str, Any]:
        """Options of a container that has it there."""
        return {"mounts": [Mount(folder, self.name)]}

    def run(self, *command: str) -> str:
        """Both outputs of a command in a container of the image on /data; it has to succeed."""
        mounts = [Mount("/data", self.name)]
        output = self._docker.containers.run(
            IMAGE, list(command), mounts=mounts, remove=True, stderr=True, labels={LABEL: "volume"}
        )
        return cast(bytes, output).decode()

    def shell(self, script: str) -> str:
        """The same of a script."""
        return self.run("sh", "-c", script)

    def pipe(self, command: str, given: bytes = b"") -> bytes:
        """What a command writes whose input this is, with /data as Compose has it; it has to succeed."""
        run = [
            "docker",
            "run",
            "--rm",
            "--interactive",
            "--label",
            f"{LABEL}=volume",
            "-v",
            f"{self.name}:/data",
            IMAGE,
        ]
        return subprocess.run([*run, *shlex.split(command)], input=given, capture_output=True, check=True).stdout


@pytest.fixture
def volume() -> Iterator[Volume]:
    made = DockerClient.from_env().volumes.create(f"tandem-test-{uuid4().hex[:12]}", labels={LABEL: "volume"})
    yield Volume(made.name)
    made.remove(force=True)


@pytest.fixture
def small_volume() -> Iterator[Volume]:
    """48 MiB in memory, kept by a container that does nothing while ours is down."""
    client = DockerClient.from_env()
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size=48m,uid={USER},gid={USER},mode=0750"}
    made = client.volumes.create(
        f"tandem-test-{uuid4().hex[:12]}", driver="local", driver_opts=options, labels={LABEL: "volume"}
    )
    keeper = client.containers.run(
        IMAGE, ["sleep", "600"], detach=True, init=True, mounts=[Mount("/data", made.name)], labels={LABEL: "volume"}
    )
    yield Volume(made.name)
    keeper.remove(force=True)
    made.remove(force=True)


def ended(tandem: Tandem) -> tuple[int, list[str]]:
    """The code with which the container ended, and the lines that it said."""
    await_true(lambda: tandem.docker.status == "exited", seconds=30, what="it ends")
    return tandem.docker.attrs["State"]["ExitCode"], tandem.docker.logs().decode().splitlines()


def web_answers(tandem: Tandem) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return tandem.request("GET", "/notes").status_code == 200
    return False


def random_word() -> str:
    """One that a store which compresses cannot make small."""
    return "".join(random.choices(string.ascii_letters, k=8))  # noqa: S311


def kill(container: Container) -> None:
    container.kill()
    container.wait(timeout=30)


# --- one container at a time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["/data", LOGS])
def test_a_second_container_on_a_volume_ends_with_one_line_and_takes_over_when_the_first_was_killed(
    folder: str, volume: Volume, start: Start
) -> None:
    first = start(options=volume.at(folder)).await_healthy()

    second = start(options=volume.at(folder))

    code, lines = ended(second)
    assert code == 78
    assert len(lines) == 1
    assert lines[0].startswith(f"another container uses {folder}, ")
    # A command that needs no Redis is none of it.
    assert "QUEUE_TRANSPORT=redis" in volume.run("queue", "config")
    assert first.run("queue", "health")[0] == 0

    kill(first.docker)
    second.docker.start()
    second.await_healthy()
    first.docker.start()
    assert ended(first)[0] == 78


# --- a full disk --------------------------------------------------------------------------------------------------


def test_nothing_that_got_202_is_missing_after_the_disk_was_full_and_redis_was_killed(
    small_volume: Volume, start: Start
) -> None:
    tandem = start(
        DISK_FREE_LIMIT="30M", WORKERS="1", NOTE_MAX_CHARS="1000000", options=small_volume.at("/data")
    ).await_healthy()
    tandem.output("queue", "pause", "notes")
    text = " ".join(random_word() for _ in range(100_000))
    accepted = []
    while (answer := tandem.request("POST", "/notes", json={**TEXT, "text": text})).status_code == 202:
        accepted.append(answer.json()["id"])
        assert len(accepted) < 60

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "disk is nearly full" in answer.json()["detail"]
    assert "fail queue" in tandem.health()
    assert tandem.run("queue", "send", "write", '["x"]')[0] == 1
    # What somebody else writes takes the rest.
    tandem.run("sh", "-c", "cat /dev/zero > /data/filler")
    kill(tandem.docker)
    tandem.docker.start()
    await_true(lambda: web_answers(tandem), seconds=60, what="web answers")

    assert len(accepted) >= 10
    assert all(tandem.note(id_)["status"] == "queued" for id_ in accepted)
    tandem.output("supervisorctl", "restart", "redis")
    # It refuses a PING while it cannot write.
    await_true(lambda: "there" in tandem.run("redis-cli", "ECHO", "there")[1], seconds=20, what="Redis answers")
    assert all(tandem.note(id_)["status"] == "queued" for id_ in accepted)
    tandem.output("rm", "/data/filler")


# --- a file that is not whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [f"head -c 512 /dev/zero >> {NEWEST}", rf"printf '*3\r\n$4\r\nHSET\r\n$9\r\ntan' >> {NEWEST}"],
    ids=["zeros", "half a command"],
)
def test_an_unfinished_end_loses_nothing_and_is_reported(damage: str, volume: Volume, start: Start) -> None:
    tandem, accepted = with_work(start, volume)
    kill(tandem.docker)
    volume.shell(damage)

    tandem.docker.start()
    tandem.await_healthy()

    assert all(tandem.note(id_)["status"] == "queued" for id_ in accepted)
    assert "were not a complete command and were removed" in tandem.output("queue", "health")
    assert "were not a complete command and were removed" in tandem.docker.logs().decode()


def test_damage_inside_ends_with_the_command_that_repairs_it(volume: Volume, start: Start) -> None:
    tandem, accepted = with_work(start, volume)
    kill(tandem.docker)
    volume.shell(f"printf 'XX' | dd of={NEWEST} bs=1 seek=3 conv=notrunc 2>/dev/null")

    said = refused(tandem)

    assert "is damaged at byte 0 of" in said
    volume.shell(f"yes | {said.partition('docker compose run --rm app ')[2]}")
    tandem.docker.start()
    tandem.await_healthy()
    assert tandem.request("GET", f"/notes/{accepted[0]}").status_code == 404


def test_a_manifest_that_is_empty_is_written_by_the_command_that_the_start_names(volume: Volume, start: Start) -> None:
    tandem, accepted = with_work(start, volume)
    kill(tandem.docker)
    volume.shell(f": > {AOF}/appendonly.aof.manifest")

    said = refused(tandem)

    volume.shell(said.partition("docker compose run --rm app ")[2])
    tandem.docker.start()
    tandem.await_healthy()
    assert all(tandem.note(id_)["status"] == "queued" for id_ in accepted)


def test_a_file_that_is_gone_is_no_empty_start(volume: Volume, start: Start) -> None:
    tandem, _ = with_work(start, volume)
    kill(tandem.docker)
    volume.shell(f"rm -r {AOF}")

    said = refused(tandem)

    assert "append-only file is missing" in said
    volume.shell(said.partition("docker compose run --rm app ")[2])
    tandem.docker.start()
    tandem.await_healthy()


def test_a_restored_backup_has_the_queue_of_its_time(volume: Volume, start: Start) -> None:
    stop, save, begin, *_, restore, _ = commands_of("back-up-and-repair.md")
    assert (stop, begin) == ("docker compose stop app", "docker compose start app")
    tandem, accepted = with_work(start, volume)
    tandem.docker.stop(timeout=30)
    backup = volume.pipe(save.partition("--no-TTY app ")[2].partition(" > ")[0])
    tandem.docker.start()
    tandem.await_healthy()
    later = tandem.hand_in(TEXT["text"])

    tandem.docker.stop(timeout=30)
    volume.pipe(restore.partition("--no-TTY app ")[2].partition(" < ")[0], backup)
    tandem.docker.start()
    tandem.await_healthy()

    assert all(tandem.note(id_)["status"] == "queued" for id_ in accepted)
    assert tandem.request("GET", f"/notes/{later}").status_code == 404
    tandem.output("queue", "resume", "notes")
    assert all(tandem.ended(id_)["status"] == "done" for id_ in accepted)


def commands_of(page: str) -> list[str]:
    """Return the commands that a page of docs/how-to says to type."""
    return re.findall(r"^\$ (.+)$", (ROOT / "docs" / "how-to" / page).read_text(), re.MULTILINE)


def with_work(start: Start, volume: Volume) -> tuple[Tandem, list[str]]:
    """A container on the volume, and notes that wait in it."""
    tandem = start(options=volume.at("/data"), WORKERS="1").await_healthy()
    tandem.output("queue", "pause", "notes")
    accepted = [tandem.hand_in(TEXT["text"]) for _ in range(5)]
    await_true(lambda: tandem.run("test", "-e", "/data/.has-data")[0] == 0, seconds=10, what="the marker")
    return tandem, accepted


def refused(tandem: Tandem) -> str:
    """The one line with which a start ends by 78."""
    before = len(tandem.docker.logs().splitlines())
    tandem.docker.start()
    code, lines = ended(tandem)
    assert code == 78
    assert len(lines) == before + 1
    return lines[-1]


# --- its users ----------------------------------------------------------------------------------------------------

TRY = """
import sys
from tandem.broker.accounts import current_user
from tandem.broker.connection import connect_to
client = connect_to("unix:///run/tandem/redis.sock", decode=True)
print(current_user())
print(client.execute_command(*sys.argv[1:]))
"""


def as_user(tandem: Tandem, user: str, *command: str) -> str:
    code = ["env", f"SUPERVISOR_GROUP_NAME={user}", "python", "-c", TRY, *command]
    return tandem.run(*code)[1]


def connected_users(tandem: Tandem) -> set[str]:
    listed = tandem.redis("CLIENT", "LIST")
    return {part.removeprefix("user=") for part in listed.split() if part.startswith("user=")}


def test_each_program_has_its_own_user_and_none_of_them_may_do_what_is_dangerous(start: Start) -> None:
    tandem = start().await_healthy()
    assert tandem.ended(tandem.hand_in(TEXT["text"]))["status"] == "done"
    await_true(
        lambda: connected_users(tandem) == {"web", "worker", "monitor", "operator"},
        seconds=20,
        what="a connection of each user",
    )
    # Nothing was refused on the way.
    assert tandem.redis("ACL", "LOG").strip() in ("", "(empty array)")

    for user in ("web", "worker", "monitor"):
        assert as_user(tandem, user, "PING").split() == [user, "True"]
        for command in (("CONFIG", "GET", "dir"), ("FLUSHALL",), ("REPLICAOF", "a", "1"), ("FUNCTION", "LIST")):
            assert "NoPermissionError" in as_user(tandem, user, *command)
    assert "NoPermissionError" in as_user(tandem, "monitor", "GET", "mine")


def test_without_a_password_or_by_tcp_no_client_connects(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    assert "NOAUTH" in tandem.run("/usr/bin/redis-cli", "-s", "/run/tandem/redis.sock", "PING")[1]
    assert "refused" in tandem.run("/usr/bin/redis-cli", "-p", "6379", "PING")[1]
    assert tandem.output("redis-cli", "PING").strip() == "PONG"
