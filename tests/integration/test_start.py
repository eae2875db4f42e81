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
