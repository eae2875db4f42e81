"""Alert rules for Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tandem.cli.alert_rules import rules
from tandem.config import settings
from tandem.config.settings import Settings
from tandem.metrics import alert_rules
from tandem.monitor import alert_rules as monitor_rules
from tandem.operate.alert_entries import ALERTS


def made(**values: str) -> dict[str, str]:
    """Return the expression of each rule."""
    (group,) = alert_rules.groups(Settings.read(values))["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def test_thresholds_are_those_of_the_settings() -> None:
    found = made(ALERT_QUEUE_DEPTH="7", ALERT_FAILURE_RATE="0.25", ALERT_MEMORY="1K")
    assert found["TandemQueueDepth"] == "max without (instance) (tandem_queue_ready) > 7"
    assert "> 0.25 and" in found["TandemFailureRate"]
    assert found["TandemMemory"].endswith("> 1024")


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        ("ALERT_QUEUE_DEPTH", "TandemQueueDepth"),
        ("ALERT_WAIT", "TandemOldestMessage"),
        ("ALERT_FAILURE_RATE", "TandemFailureRate"),
        ("ALERT_WORKER_DOWN", "TandemWorkerDown"),
        ("ALERT_RESTARTS", "TandemWorkersDie"),
        ("ALERT_MEMORY", "TandemMemory"),
        ("ALERT_DISK", "TandemDisk"),
    ],
)
def test_a_setting_that_is_0_leaves_its_rule_out(setting: str, rule: str) -> None:
    assert rule in made()
    assert made().keys() - made(**{setting: "0"}).keys() == {rule}


def test_every_alert_of_the_monitor_has_a_series_before_it_is_raised() -> None:
    assert set(ALERTS) == set(monitor_rules._RULES)


def test_the_command_writes_rules_and_token_for_prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "api-token-0123456789")
    settings.reset()
    answer = CliRunner().invoke(rules, ["--folder", str(tmp_path)])
    settings.reset()
    assert answer.exit_code == 0
    assert (tmp_path / "token").read_text() == "api-token-0123456789"
    assert "api-token" not in answer.output
    assert json.loads((tmp_path / "tandem.rules.yaml").read_text())["groups"][0]["name"] == "tandem"
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o640
