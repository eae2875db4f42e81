"""A real Prometheus reads /metrics, and every query of the board has data."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container
from prometheus_client.parser import text_string_to_metric_families
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.integration.databases import TAG
from tests.integration.tandem import LABEL, Tandem, await_true, http_request
from tests.paths import ROOT

Start = Callable[..., Tandem]
OBSERVABILITY = ROOT / "observability"
BOARD = OBSERVABILITY / "grafana" / "dashboards" / "tandem.json"
TOKEN = "metrics-token-0123456789"  # noqa: S105


class Prometheus:
    """A Prometheus as compose.observability.yaml runs it, which asks every second."""

    def __init__(self, network: Network, folder: Path, rules: str) -> None:
        text = (OBSERVABILITY / "prometheus" / "prometheus.yaml").read_text()
        for name, content in (
            ("prometheus.yaml", text.replace("15s", "1s")),
            ("tandem.rules.yaml", rules),
            ("token", TOKEN),
        ):
            (folder / name).write_text(content)
            (folder / name).chmod(0o644)
        folder.chmod(0o755)
        container = DockerContainer(f"tandem-prometheus:{TAG}").with_network(network).with_exposed_ports(9090)
        container.with_volume_mapping(str(folder), "/rules").with_kwargs(labels={LABEL: "prometheus"})
        self.container = container.with_command("--config.file=/rules/prometheus.yaml --storage.tsdb.path=/prometheus")

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        url = f"http://{self.container.get_container_host_ip()}:{self.container.get_exposed_port(9090)}/api/v1/{path}"
        return http_request("GET", url, params=parameters).json()["data"]

    def values(self, query: str) -> list[float]:
        """Return the values of a query; those that are no number are left out."""
        found = [float(series["value"][1]) for series in self.get("query", query=query)["result"]]
        return [value for value in found if value == value]

    def targets(self) -> dict[str, list[str]]:
        """Return the health of the targets of each job."""
        found: dict[str, list[str]] = {}
        for target in self.get("targets")["activeTargets"]:
            found.setdefault(target["labels"]["job"], []).append(target["health"])
        return found


@pytest.fixture(scope="module")
def watched(network: Network) -> Iterator[Tandem]:
    """A container under the name at which Prometheus looks for it."""
    tandem = Tandem(network, {"METRICS_TOKEN": TOKEN, "RETRY_DELAY": "200", "ALERT_QUEUE_DEPTH": "7"})
    tandem._container.with_network_aliases("app")
    try:
        yield tandem.start().await_healthy()
    finally:
        tandem.remove()


@pytest.fixture(scope="module")
def prometheus(network: Network, watched: Tandem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    found = Prometheus(network, tmp_path_factory.mktemp("rules"), watched.output("queue", "alert-rules"))
    with found.container:
        await_true(lambda: _answers(found), seconds=30, what="Prometheus answers")
        yield found


def _answers(prometheus: Prometheus) -> bool:
    try:
        return prometheus.targets() != {}
    except Exception:
        return False


def queries() -> list[str]:
    """Return every query of the board."""
    panels = json.loads(BOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def test_its_targets_are_up_and_every_query_of_the_board_has_data(watched: Tandem, prometheus: Prometheus) -> None:
    await_true(
        lambda: prometheus.targets().get("tandem") == ["up"] == prometheus.targets().get("dramatiq"),
        seconds=20,
        what="both targets are up",
    )
    watched.send("count", "board", 1)
    watched.output("queue", "stop-workers", "--wait")
    watched.send("fail", "board", 1)
    await_true(lambda: prometheus.values("sum(tandem_messages_total) > 2"), seconds=20, what="the first messages")
    watched.send("count", "board", 2, times=50)
    watched.send("fail", "board", 2, times=3)
    watched.request("GET", "/healthz")

    left: list[str] = queries()

    def all_have_data() -> bool:
        left[:] = [query for query in left if not prometheus.values(query)]
        return not left

    try:
        await_true(all_have_data, seconds=30, what="every query has data")
    except AssertionError as error:
        raise AssertionError(f"no data: {left}") from error


def compose(*arguments: str) -> str:
    """Run docker compose on the files of this repository, under a name and with ports of this test."""
    names = {"PORT": "0", "PROMETHEUS_PORT": "0", "ALERTMANAGER_PORT": "0", "METRICS_TOKEN": TOKEN}
    images = {f"{name.upper()}_IMAGE": f"tandem-{name}:{TAG}" for name in ("prometheus", "alertmanager")}
    command = ["docker", "compose", "--project-name", f"tandem-observed-{TAG}"]
    command += ["--file", "compose.yaml", "--file", "compose.observability.yaml", *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **names, **images},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_compose_file_brings_it_up_with_its_target() -> None:
    try:
        compose("up", "--detach", "--wait", "--wait-timeout", "120", "app", "prometheus")
        place = compose("port", "prometheus", "9090").strip()

        def is_up() -> bool:
            targets = http_request("GET", f"http://{place}/api/v1/targets").json()["data"]["activeTargets"]
            return [one["health"] for one in targets if one["labels"]["job"] == "tandem"] == ["up"]

        await_true(is_up, seconds=60, what="the application is read")
    finally:
        compose("down", "--volumes", "--timeout", "5")


RULES = (
    ("TandemDown", [('up{job="tandem",instance="a"}', "0x20 1x20")], 5, 30),
    ("TandemRedisDown", [('tandem_redis_up{instance="a"}', "0x20 1x20")], 5, 30),
    ("TandemAlert", [('tandem_alert{instance="a",alert="disk"}', "1x20 0x20")], 5, 30),
    ("TandemQueueDepth", [('tandem_queue_ready{instance="a",queue="mail"}', "8x20 7x20")], 5, 30),
    ("TandemOldestMessage", [('tandem_queue_oldest_seconds{instance="a",queue="mail"}', "301x20 300x20")], 5, 30),
    (
        "TandemFailureRate",
        [
            ('tandem_messages_total{instance="a",queue="mail",actor="x",outcome="failed"}', "0+2x20 40+0x40"),
            ('tandem_messages_total{instance="a",queue="mail",actor="x",outcome="completed"}', "0+2x60"),
        ],
        15,
        50,
    ),
    ("TandemWorkerDown", [('tandem_workers{instance="a"}', "1x20 2x20")], 10, 30),
    (
        "TandemWorkersDie",
        [('tandem_worker_restarts_total{instance="a",reason="died"}', "0+1x20 20+0x40")],
        15,
        50,
    ),
    ("TandemMemory", [('tandem_container_memory_bytes{instance="a"}', "600000000x20 1000x20")], 5, 30),
    ("TandemDisk", [('tandem_disk_used_ratio{instance="a",folder="/data"}', "0.95x20 0.5x20")], 5, 30),
)


def rule_test() -> str:
    """Return a unit test of promtool in which each rule fires at one minute and is clear at another."""
    tests = []
    for name, series, fires, clear in RULES:
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": one, "values": values} for one, values in series],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": "{}", "value": value}],
                    }
                    for minute, value in ((fires, 1), (clear, 0))
                ],
            }
        )
    return json.dumps({"rule_files": ["/rules/tandem.rules.yaml"], "evaluation_interval": "15s", "tests": tests})


def run(container: DockerContainer, *command: str) -> tuple[int, str]:
    """Exit code and output of a command inside."""
    docker: Container = container.get_wrapped_container()
    code, output = docker.exec_run(list(command))
    return code, output.decode()


def test_each_rule_fires_and_clears(prometheus: Prometheus, watched: Tandem, tmp_path: Path) -> None:
    names = {rule["alert"] for rule in json.loads(watched.output("queue", "alert-rules"))["groups"][0]["rules"]}
    assert names == {name for name, *_ in RULES}
    text = rule_test().replace("'", "'\"'\"'")
    command = f"echo '{text}' >/tmp/test.yaml && promtool test rules /tmp/test.yaml"
    code, output = run(prometheus.container, "sh", "-c", command)
    assert (code, "SUCCESS" in output) == (0, True), output
    code, output = run(prometheus.container, "promtool", "check", "config", "/rules/prometheus.yaml")
    assert code == 0, output


def test_promtool_finds_nothing_wrong_with_metrics(prometheus: Prometheus, watched: Tandem) -> None:
    watched.send("count", "lint", 1)
    watched.request("GET", "/nothing")
    python = (
        "import sys,urllib.request as u; print(u.urlopen(u.Request('http://app:8000/metrics',headers={'Authorization':"
    )
    python += f" 'Bearer {TOKEN}'}})).read().decode(), end='')"
    code, body = watched.run("python", "-c", python.replace("app:8000", "127.0.0.1:8000"))
    assert code == 0, body
    found = text_string_to_metric_families(body)
    assert {"tandem_messages", "tandem_http_requests"} <= {family.name for family in found}
    folder = next(iter(prometheus.container.volumes))
    (Path(folder) / "metrics.txt").write_text(body)
    assert run(prometheus.container, "sh", "-c", "promtool check metrics </rules/metrics.txt 2>&1") == (0, "")


def totals(tandem: Tandem) -> Counter[str]:
    """Return the messages of the actors by outcome, as one container shows them."""
    answer = tandem.request("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name == "tandem_messages_total":
                found[f"{sample.labels['actor']} {sample.labels['outcome']}"] += int(sample.value)
            if sample.name in ("tandem_message_run_seconds_count", "tandem_message_wait_seconds_count"):
                found[f"{sample.labels['actor']} {sample.name}"] += int(sample.value)
    return found


def test_two_containers_show_the_same_counts_which_no_restart_takes_back(redis_elsewhere: str, start: Start) -> None:
    url = f"redis://{redis_elsewhere}:6379"
    one, two = start(REDIS_URL=url), start(REDIS_URL=url)
    for tandem in (one, two):
        tandem.await_healthy()
    one.send("count", "counted", 1, times=400)
    two.send("fail", "failures", 1, times=30)
    two.send("count", "counted", 2, times=400)
    # An independent count: what the actors themselves have noted.
    noted = "from tandem import connect, Settings; c = connect(Settings.current()); "
    noted += "print(c.llen('counted'), c.llen('failures'))"
    await_true(lambda: one.output("python", "-c", noted).split() == ["800", "60"], seconds=60, what="all have run")
    expected = {
        "count completed": 800,
        "count tandem_message_run_seconds_count": 800,
        "count tandem_message_wait_seconds_count": 800,
        "fail retried": 30,
        "fail failed": 30,
        "fail tandem_message_run_seconds_count": 60,
        "fail tandem_message_wait_seconds_count": 60,
    }
    await_true(lambda: +totals(one) == expected == +totals(two), seconds=10, what=f"{totals(one)} is {expected}")

    one.output("supervisorctl", "restart", "web", "worker:*", "monitor")
    two.docker.restart()
    for tandem in (one, two):
        tandem.await_healthy()
        assert +totals(tandem) == expected
    reasons = [line for line in one.request("GET", "/metrics").text.splitlines() if "restarts_total{" in line]
    assert sum(float(line.split()[1]) for line in reasons) >= 4, reasons
