"""A project that the image makes is built, handles its first message, and refuses to be built with a broken import."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.tandem import APP_IMAGE, LABEL, Tandem, await_true

Start = Callable[..., Tandem]
PLATFORM = f"{APP_IMAGE}-platform"
IMAGE = f"my-service:{APP_IMAGE.rpartition(':')[2]}"


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the command `new` of the image has made, as its user calls it."""
    folder = tmp_path_factory.mktemp("projects")
    user = f"{os.getuid()}:{os.getgid()}"
    mount = ("--user", user, "--volume", f"{folder}:/out")
    made = docker("run", "--rm", "--label", f"{LABEL}=new", *mount, PLATFORM, "new", "my-service")
    assert made.returncode == 0, made.stderr
    assert "next: cd my-service && docker compose up --build --detach --wait" in made.stdout
    return folder / "my-service"


def build(project: Path) -> subprocess.CompletedProcess[str]:
    return docker("build", "--tag", IMAGE, "--build-arg", f"TANDEM={PLATFORM}", str(project))


@pytest.fixture(scope="module")
def image(project: Path) -> Iterator[str]:
    built = build(project)
    assert built.returncode == 0, built.stderr
    yield IMAGE
    docker("rmi", "--force", IMAGE)


def test_a_new_project_handles_its_first_message(start: Start, image: str) -> None:
    service = start(image=image, GREETING="Welcome").await_healthy()

    answer = service.request("POST", "/greetings", json={"name": "Ada"})

    assert answer.status_code == 202, answer.text
    path = answer.headers["Location"]
    await_true(lambda: service.request("GET", path).status_code == 200, seconds=20, what="the greeting")
    assert service.request("GET", path).json()["text"] == "Welcome, Ada!"
    assert service.request("GET", "/openapi.json").json()["info"]["title"] == "my-service"
    assert "count_greeted" in service.output("queue", "schedules")


def test_a_missing_package_fails_the_build_with_file_and_line(project: Path, image: str) -> None:
    module = project / "app/greetings.py"
    good = module.read_text()
    module.write_text(good.replace("import redis\n", "import redis\nimport nobody_has_this\n", 1))
    try:
        built = build(project)
    finally:
        module.write_text(good)

    assert built.returncode != 0
    assert "/srv/tandem/app/greetings.py:13: ModuleNotFoundError: No module named 'nobody_has_this'" in built.stderr
