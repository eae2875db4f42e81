"""Logs: every line once in the files and once in `docker logs`, and the script that shows them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from testcontainers.core.network import Network

from tests.integration.containers import running_until_left
from tests.integration.tandem import Tandem, await_true
from tests.paths import ROOT

Start = Callable[..., Tandem]
SCRIPT = ROOT / "bin" / "worker-logs.sh"
LINES, MESSAGES, CHATTER = 1000, 100, 40


def docker_logs(tandem: Tandem) -> list[bytes]:
    output = subprocess.run(["docker", "logs", str(tandem.docker.id)], check=True, capture_output=True, timeout=120)
    return output.stdout.splitlines()


def worker_logs(*arguments: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run([str(SCRIPT), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_a_hundred_thousand_lines_from_four_processes_come_once_each_while_files_rotate(start: Start) -> None:
    tandem = start(WORKERS="4", WORKER_MESSAGE_LIMIT="0").await_healthy()
    tandem.send("chatter", "n", LINES, 600, times=MESSAGES)
    ended = re.compile(rb"completed in")

    def all_ended() -> bool:
        return sum(len(ended.findall(line)) for line in docker_logs(tandem)) == MESSAGES

    await_true(all_ended, seconds=180, what="all messages in docker logs")
    expected = {f"{message}-{line:06}".encode() for message in range(MESSAGES) for line in range(LINES)}
    stamp = rb"\d{4}-\d\d-\d\dT[\d:.]+Z"
    whole = re.compile(stamp + rb" INFO    (worker_0\d) testapp\.actors: (\d+-\d{6}) x{600} \[[^]]+\]")

    copied = [line for line in docker_logs(tandem) if b"xxxx" in line]
    matches = [re.fullmatch(rb"(worker_0\d)  \| " + whole.pattern, line) for line in copied]
    assert all(match and match[1] == match[2] for match in matches)
    assert {match[3] for match in matches if match} == expected
    assert len(matches) == len(expected)

    files = "ls /var/log/supervisor/worker-0?.log*"
    assert len(tandem.output("sh", "-c", files).split()) >= 6  # at least two of four have rotated
    in_files = tandem.output("sh", "-c", "cat /var/log/supervisor/worker-0?.log* | grep xxxx").encode().splitlines()
    assert Counter(match[2] for line in in_files if (match := whole.fullmatch(line))) == Counter(expected)
    assert len(in_files) == len(expected)


def test_json_lines_stay_json_in_docker_logs(start: Start) -> None:
    tandem = start(LOG_FORMAT="json").await_healthy()
    tandem.request("GET", "/nothing")

    def seen() -> bool:
        return any(b"/nothing" in line for line in docker_logs(tandem))

    await_true(seen, seconds=10, what="the request in docker logs")
    records = [json.loads(line) for line in docker_logs(tandem)]
    assert {"web", "redis", "supervisord", "worker_00", "worker_01", "monitor"} <= {
        record["process"] for record in records
    }


def test_docker_logs_of_a_second_start_do_not_repeat_the_first(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.docker.stop(timeout=30)
    tandem.docker.start()
    tandem.await_healthy()

    await_true(lambda: docker_logs(tandem).count(b"") == 0, seconds=5, what="the logs")
    starts = [line for line in docker_logs(tandem) if b"supervisord started with pid" in line]
    assert len(starts) == 2


def all_completed(tandem: Tandem) -> bool:
    return (tandem.worker_log() + tandem.worker_log(1)).count("completed in") == CHATTER


@pytest.fixture(scope="module")
def chatty(network: Network) -> Iterator[Tandem]:
    """A container whose two workers have logged more than 200 lines, for tests that only add lines."""
    for tandem in running_until_left(Tandem(network, {})):
        tandem.send("chatter", "n", 5, 1, times=CHATTER)
        await_true(partial(all_completed, tandem), seconds=30, what="the end of the chatter")
        yield tandem


def test_the_script_shows_the_last_fifty_lines_of_all_workers_from_any_folder(chatty: Tandem, tmp_path: Path) -> None:
    code, output = worker_logs("-c", str(chatty.docker.name), cwd=tmp_path)

    lines = output.splitlines()
    assert code == 0
    assert len(lines) == 50
    assert {line.split(" | ")[0] for line in lines} == {"worker_00", "worker_01"}
    stamps = [line.split(" | ")[1].split()[0] for line in lines]
    assert stamps == sorted(stamps)


def test_the_scripts_options_choose(chatty: Tandem, tmp_path: Path) -> None:
    name = str(chatty.docker.name)
    chatty.send("fail", "failing", "n")
    await_true(lambda: "gave up" in chatty.worker_log() + chatty.worker_log(1), seconds=20, what="an error")

    assert len(worker_logs("-c", name, "-n", "7", cwd=tmp_path)[1].splitlines()) == 7
    assert set(re.findall("worker_0[01](?= \\|)", worker_logs("-c", name, "1", cwd=tmp_path)[1])) == {"worker_01"}
    errors = worker_logs("-c", name, "-e", cwd=tmp_path)[1]
    assert "gave up" in errors and " INFO " not in errors
    assert len(worker_logs("-c", name, "-n", "1000", "--since", "1h", cwd=tmp_path)[1].splitlines()) > 200
    assert worker_logs("-c", name, "--since", "2100-01-01", cwd=tmp_path) == (0, "")


def test_the_script_follows_across_a_rotation(chatty: Tandem, tmp_path: Path) -> None:
    command = [str(SCRIPT), "-c", str(chatty.docker.name), "-f", "-n", "0"]
    out = tmp_path / "out"
    with out.open("wb") as file, subprocess.Popen(command, stdout=file, cwd=tmp_path) as following:
        try:

            def heard() -> bool:
                # Lines from before it has started to follow do not count.
                chatty.send("chatter", "before", 1, 1)
                return "before-000000" in out.read_text()

            await_true(heard, seconds=20, what="it follows")
            # 24 MB for two workers: a file rotates, whichever worker handles them.
            chatty.send("chatter", "filling", 1000, 1000, times=24)
            await_true(lambda: out.read_text().count("filling-000999") == 24, seconds=60, what="the last line of each")
        finally:
            following.kill()
    lines = [line for line in out.read_text().splitlines() if "filling-" in line]
    assert len(lines) == 24_000
    assert chatty.run("sh", "-c", "ls /var/log/supervisor/worker-0?.log.1")[0] == 0


def test_the_script_works_inside_the_container(chatty: Tandem) -> None:
    assert len(chatty.output("worker-logs.sh", "-n", "5").splitlines()) == 5


def test_the_script_says_clearly_when_nothing_runs(chatty: Tandem, tmp_path: Path) -> None:
    code, output = worker_logs("-c", "nobody", cwd=tmp_path)
    assert (code, output) == (1, "error: the container nobody is not running: docker ps lists the running ones\n")
    code, output = worker_logs("-c", str(chatty.docker.name), "7", cwd=tmp_path)
    assert (code, output) == (1, "Error: no logs of these workers: expected numbers from 0, 1\n")
    code, output = worker_logs("-c", str(chatty.docker.name), "--since", "soon", cwd=tmp_path)
    assert code == 1 and "--since soon is invalid" in output


def test_a_line_is_in_docker_logs_soon(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.request("GET", f"/soon-{time.monotonic_ns()}")
    await_true(lambda: any(b"/soon-" in line for line in docker_logs(tandem)), seconds=2, what="the line")


def test_every_log_line_of_a_message_has_its_id(start: Start) -> None:
    tandem = start(WORKERS="1", LOG_FORMAT="json", MAX_RETRIES="0").await_healthy()
    tandem.send("nap", "nap", "not a number")
    await_true(lambda: "gave up" in tandem.worker_log(), seconds=20, what="it has failed")

    out = tandem.output("cat", "/var/log/supervisor/worker-00.log", "/var/log/supervisor/worker-00-error.log")
    records = [json.loads(line) for line in out.splitlines()]
    about = [record for record in records if "message_id" in record]
    assert {record["process"] for record in records} == {"worker_00"}
    assert {record["actor"] for record in about} == {"nap"}
    assert len({record["message_id"] for record in about}) == 1
    assert any("Traceback" in record.get("exc_info", "") for record in about)
