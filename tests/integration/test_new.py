"""A project that the image makes is built, handles its first message, and refuses to be built with a broken import."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.debug_adapter import DebugAdapter
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


def build(project: Path, *options: str, tag: str = IMAGE) -> subprocess.CompletedProcess[str]:
    return docker("build", "--tag", tag, "--build-arg", f"TANDEM={PLATFORM}", *options, str(project))


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


def test_an_editor_stops_a_worker_at_a_breakpoint_and_lets_it_go_on(start: Start, project: Path) -> None:
    image = f"{IMAGE}-dev"
    built = build(project, "--build-arg", "DEV=1", tag=image)
    assert built.returncode == 0, built.stderr
    settings = {"RELOAD": "1", "DEBUG_PORT": "5678", "WORKERS": "1"}
    try:
        service = start(image=image, options={"ports": (5678, 5679)}, **settings).await_healthy()
        await_true(lambda: "attach at port 5679" in service.logs(), seconds=20, what="the worker's port")
        module = (project / "app/greetings.py").read_text().splitlines()
        line = next(number for number, text in enumerate(module, 1) if "text = f" in text)
        with DebugAdapter(service.port(5679)) as editor:
            editor.attach("/srv/tandem/app/greetings.py", line)
            path = service.request("POST", "/greetings", json={"name": "Ada"}).headers["Location"]
            thread = editor.receive("event", "stopped")["threadId"]
            editor.send("stackTrace", threadId=thread)
            frame = editor.receive("response", "stackTrace")["stackFrames"][0]
            editor.send("evaluate", expression="name", frameId=frame["id"])
            assert (frame["name"], frame["line"]) == ("greet", line)
            assert editor.receive("response", "evaluate")["result"] == "'Ada'"
            # Longer than a worker may be without a heartbeat elsewhere.
            assert service.request("GET", path).status_code == 404
            editor.send("continue", threadId=thread)
            await_true(lambda: service.request("GET", path).status_code == 200, seconds=20, what="the greeting")
        with DebugAdapter(service.port(5678)) as editor:
            editor.send("initialize", adapterID="test")
            assert "supportsConfigurationDoneRequest" in editor.receive("response", "initialize")
    finally:
        docker("rmi", "--force", image)


def test_a_debugger_is_refused_where_it_is_not_installed(start: Start, image: str) -> None:
    service = start(image=image, RELOAD="1", DEBUG_PORT="5678")
    await_true(lambda: service.docker.status == "exited", seconds=20, what="the end")
    assert service.docker.attrs["State"]["ExitCode"] == 78
    assert "DEBUG_PORT=5678 is invalid: this image has no debugger" in service.logs()


def test_the_tests_of_a_project_run_where_there_is_no_docker(project: Path) -> None:
    """In the devcontainer, which is the image for builds."""
    label = ("--label", f"{LABEL}=new")
    inside = "cp -r /project /copy && cd /copy && bin/test unit && .venv/bin/queue dev --help"
    ran = docker("run", "--rm", *label, "--volume", f"{project}:/project:ro", f"{PLATFORM}-build", "sh", "-c", inside)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout


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
