"""A project with a database, which the image makes, keeps its greetings in SQLite or in PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.tandem import APP_IMAGE, LABEL, Tandem, await_true, http_request
from tests.paths import ROOT

Start = Callable[..., Tandem]
TAG = APP_IMAGE.rpartition(":")[2]
PLATFORM = f"{APP_IMAGE}-platform"
POSTGRES = f"tandem-postgres:{TAG}"
IMAGE = f"my-sql-service:{TAG}"
#: compose.yaml as it comes, with the images of this run, and with a port and a label that nobody else has.
OVERRIDE = f"""
name: my-sql-service-{TAG}
services:
  app:
    image: {IMAGE}
    ports: !override ["127.0.0.1::8000"]
    environment: {{RATE_LIMIT: "0", WEB_WORKERS: "1"}}
    labels: {{{LABEL}: compose}}
  postgres:
    labels: {{{LABEL}: compose}}
volumes:
  data: {{labels: {{{LABEL}: compose}}}}
  logs: {{labels: {{{LABEL}: compose}}}}
  postgres: {{labels: {{{LABEL}: compose}}}}
"""


def run(*command: str, folder: Path | None = None, **environment: str) -> str:
    variables = {**os.environ, **environment}
    ran = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects")
    mount = ("--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{folder}:/out")
    run("docker", "run", "--rm", "--label", f"{LABEL}=new", *mount, PLATFORM, "new", "my-sql-service", "--sql")
    return folder / "my-sql-service"


@pytest.fixture(scope="module")
def image(project: Path) -> Iterator[str]:
    run("docker", "build", "--quiet", "--tag", IMAGE, "--build-arg", f"TANDEM={PLATFORM}", str(project))
    yield IMAGE
    run("docker", "rmi", "--force", IMAGE)


def test_the_database_is_sqlite_in_the_volume(start: Start, image: str) -> None:
    service = start(image=image).await_healthy()
    assert "sqlite:////data/app.db, schema up to date" in service.health()

    path = service.request("POST", "/greetings", json={"name": "Ada"}).headers["Location"]
    await_true(lambda: service.request("GET", path).status_code == 200, seconds=20, what="the greeting")
    service.docker.restart(timeout=20)
    service.await_healthy()

    assert service.request("GET", path).json()["text"] == "Hello, Ada!"
    upgraded, web = service.logs().find("made the tables of tandem, greetings"), service.logs().find("web")
    assert 0 < upgraded < web


def test_the_tests_of_the_project_pass_on_the_image(project: Path, image: str) -> None:
    """Also that with PostgreSQL."""
    images = {"TANDEM_TEST_IMAGE": image, "TANDEM_TEST_POSTGRES_IMAGE": POSTGRES}
    # The application of this repository is called app as well: the project's has to be found first.
    options = ["-q", "-p", "no:cacheprovider", "tests/integration"]
    code = f"import sys; sys.path.append({str(ROOT)!r}); import pytest; sys.exit(pytest.main({options!r}))"
    path = f"{ROOT}/.none:{project}"
    assert "2 passed" in run(sys.executable, "-P", "-c", code, folder=project, PYTHONPATH=path, **images)


def test_compose_starts_it_with_postgresql(project: Path, image: str) -> None:
    (project / "override.yaml").write_text(OVERRIDE)
    files = "compose.yaml:compose.postgres.yaml"
    refused = subprocess.run(
        ["docker", "compose", "config"], cwd=project, env={**os.environ, "COMPOSE_FILE": files}, capture_output=True
    )
    assert b"required variable POSTGRES_PASSWORD is missing a value: see .env.example" in refused.stderr

    # The password that the image of the tests has.
    (project / ".env").write_text(
        f"COMPOSE_FILE={files}:override.yaml\nPOSTGRES_PASSWORD=tandem\nPOSTGRES_IMAGE={POSTGRES}\n"
    )

    def compose(*arguments: str) -> str:
        return run("docker", "compose", *arguments, folder=project)

    def ask(method: str, path: str, **options: Any) -> tuple[int, dict[str, str]]:
        answer = http_request(method, f"http://{compose('port', 'app', '8000').strip()}{path}", **options)
        return answer.status_code, answer.json()

    try:
        compose("up", "--detach", "--wait", "--no-build", "--quiet-pull")
        _, greeting = ask("POST", "/greetings", json={"name": "Ada"})
        path = f"/greetings/{greeting['id']}"
        await_true(lambda: ask("GET", path)[0] == 200, seconds=20, what="the greeting")
        assert "postgresql://postgres/tandem, schema up to date" in compose("exec", "app", "queue", "health")

        # Containers of their own: nothing but the volumes stays.
        compose("down", "--timeout", "20")
        compose("up", "--detach", "--wait", "--no-build")
        assert ask("GET", path) == (200, {**greeting, "text": "Hello, Ada!"})
    finally:
        compose("down", "--volumes", "--timeout", "1")
