"""What a start refuses, in one line and with code 78, and what it survives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from testcontainers.core.docker_client import DockerClient

from tests.integration.tandem import LABEL, Tandem, await_true

Start = Callable[..., Tandem]
EXIT_CONFIG = 78


@pytest.fixture
def volume() -> Iterator[str]:
    """The name of a volume for /data, which goes away after its containers."""
    volumes = DockerClient().client.volumes
    made = volumes.create(f"tandem-test-{uuid4().hex[:12]}", labels={LABEL: "data"})
    yield made.name
    made.remove(force=True)


def has_another_web(tandem: Tandem, before: str) -> bool:
    """Whether web runs again after the one with this process id."""
    return tandem.run("supervisorctl", "pid", "web")[1] not in (before, "0\n")


def refusal(tandem: Tandem) -> str:
    """The only line of a container that does not start."""
    assert tandem.docker.wait(timeout=20)["StatusCode"] == EXIT_CONFIG, tandem.logs()
    (line,) = tandem.docker.logs().decode().splitlines()
    return str(line)


def test_an_import_that_breaks_is_named_with_file_and_line(start: Start, tmp_path: Path) -> None:
    registry = tmp_path / "__init__.py"
    registry.write_text("\nimport a_package_that_nobody_has\n")
    registry.chmod(0o644)

    tandem = start(options={"volumes": {str(registry): "/srv/tandem/testapp/__init__.py"}})

    line = refusal(tandem)
    assert line.startswith(
        "/srv/tandem/testapp/__init__.py:2: ModuleNotFoundError: No module named 'a_package_that_nobody_has'"
    )


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ({"user": "1000"}, "/data is not writable for user 1000: Permission denied"),
        ({"user": "1000", "PROGRAMS": "web"}, "/var/log/supervisor is not writable for user 1000"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_named_with_the_remedy(
    start: Start, options: dict[str, str], folder: str
) -> None:
    programs = {"PROGRAMS": "web", "REDIS_URL": "redis://nowhere"} if options.pop("PROGRAMS", "") else {}

    tandem = start(options=options, **programs)

    assert tandem.docker.wait(timeout=20)["StatusCode"] == EXIT_CONFIG
    lines = tandem.docker.logs().decode().splitlines()
    assert any(line.startswith(folder) and "chown -R 10001" in line for line in lines), lines
    assert all("is not writable" in line for line in lines), lines


def test_a_second_container_on_one_volume_is_refused_and_changes_nothing(volume: str, start: Start) -> None:
    first = start(options={"data": volume}).await_healthy()
    done = first.ended(first.hand_in("Good morning."))

    assert refusal(start(options={"data": volume})).startswith("another container uses /data, ")

    first.docker.kill()
    first.docker.start()
    await_true(lambda: first.run("queue", "health")[0] == 0, seconds=30, what="the first one is healthy again")
    assert first.note(done["id"]) == done


@pytest.mark.parametrize("how", ["supervisorctl", "SIGHUP"])
def test_a_reload_restarts_all_programs_and_a_second_container_is_still_refused(
    volume: str, start: Start, how: str
) -> None:
    tandem = start(options={"data": volume}).await_healthy()
    before = tandem.output("supervisorctl", "pid", "web")

    for _ in range(2):
        if how == "SIGHUP":
            tandem.docker.kill(signal="HUP")
        else:
            tandem.output("supervisorctl", "reload")
        await_true(partial(has_another_web, tandem, before), seconds=20, what="a new web")
        await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=20, what="it is healthy again")
        before = tandem.output("supervisorctl", "pid", "web")

    assert tandem.ended(tandem.hand_in("Good morning."))["status"] == "done"
    assert refusal(start(options={"data": volume})).startswith("another container uses /data, ")


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
    """Writes a file that the image's user may run, and returns it as a volume."""

    def write(inside: str, text: str) -> dict[str, str]:
        path = tmp_path / Path(inside).name
        path.write_text(text)
        path.chmod(0o755)
        return {str(path): inside}

    return write


def test_start_steps_run_before_any_program(start: Start, own: Callable[[str, str], dict[str, str]]) -> None:
    volumes = own("/etc/tandem/init.d/20-second", "#!/bin/sh\nls /run/tandem/redis.sock; echo second >> /data/steps\n")
    volumes |= own("/etc/tandem/init.d/10-first", "#!/bin/sh\necho migrated; echo first >> /data/steps\n")

    tandem = start(options={"volumes": volumes}).await_healthy()

    assert tandem.output("cat", "/data/steps") == "first\nsecond\n"
    assert "10-first   | migrated" in tandem.logs()
    assert "20-second  | ls: cannot access '/run/tandem/redis.sock'" in tandem.logs()


def test_a_start_step_that_fails_ends_the_start(start: Start, own: Callable[[str, str], dict[str, str]]) -> None:
    volumes = own("/etc/tandem/init.d/10-migrate", "#!/bin/sh\necho 'no such table: invoices'; exit 3\n")

    tandem = start(options={"volumes": volumes})

    assert tandem.docker.wait(timeout=20)["StatusCode"] == EXIT_CONFIG, tandem.logs()
    last = tandem.docker.logs().decode().splitlines()[-1]
    assert last == "the start step 10-migrate failed with code 3: no such table: invoices"


def test_containers_on_one_redis_run_their_start_steps_in_turn(
    start: Start, own: Callable[[str, str], dict[str, str]], redis_elsewhere: str
) -> None:
    cli = f"redis-cli -h {redis_elsewhere}"
    enter, leave = f"{cli} INCR steps:inside", f"{cli} DECR steps:inside"
    script = f'#!/bin/sh\n[ "$({enter})" = 1 ] || {cli} SET steps:two 1\nsleep 1\n{leave}\n'
    options = {"volumes": own("/etc/tandem/init.d/10-migrate", script)}
    tandems = [start(options=options, REDIS_URL=f"redis://{redis_elsewhere}:6379") for _ in range(3)]

    for tandem in tandems:
        tandem.await_healthy()

    assert tandems[0].output("redis-cli", "-h", redis_elsewhere, "EXISTS", "steps:two").strip() == "0"


def test_a_program_of_ones_own_runs_beside_ours(start: Start, own: Callable[[str, str], dict[str, str]]) -> None:
    text = '[program:relay]\ncommand=sh -c "echo relaying; exec sleep 600"\nstopwaitsecs=5\n'
    options = {"volumes": own("/etc/tandem/programs/relay.conf", text)}
    tandem = start(options=options, STOP_GRACE_PERIOD="665").await_healthy()

    assert tandem.states()["relay"] == "RUNNING"
    assert "relay" in tandem.output("queue", "health")
    await_true(lambda: "relay      | relaying" in tandem.logs(), seconds=10, what="its line in the log")
    before = tandem.run("supervisorctl", "pid", "relay")[1]
    tandem.output("supervisorctl", "signal", "KILL", "relay")
    await_true(
        lambda: tandem.run("supervisorctl", "pid", "relay")[1] not in (before, "0\n"), seconds=10, what="the next one"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "[program:relay]\ncommand=sleep 600\nstopwaitsecs=90\n",
            "STOP_GRACE_PERIOD=720s is invalid: the container would be killed before",
        ),
        ("[program:web]\ncommand=true\n", "/etc/tandem/programs/relay.conf: expected one section, [program:relay]"),
    ],
)
def test_a_program_that_cannot_run_is_refused(
    start: Start, own: Callable[[str, str], dict[str, str]], text: str, error: str
) -> None:
    tandem = start(options={"volumes": own("/etc/tandem/programs/relay.conf", text)})
    assert refusal(tandem).startswith(error)


def test_a_program_that_cannot_be_started_makes_it_unhealthy_and_the_web_goes_on(
    start: Start, own: Callable[[str, str], dict[str, str]]
) -> None:
    text = "[program:relay]\ncommand=false\nstopwaitsecs=0\nstartretries=1\n"
    tandem = start(options={"volumes": own("/etc/tandem/programs/relay.conf", text)})
    await_true(lambda: "relay cannot be started" in tandem.logs(), seconds=30, what="supervisor gives up")

    assert tandem.states()["web"] == "RUNNING"
    code, health = tandem.run("queue", "health")
    assert code != 0 and "relay" in health
