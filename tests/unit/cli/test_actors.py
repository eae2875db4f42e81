"""`queue actors`: what can be sent, and with what."""

from __future__ import annotations

import json
from typing import Any

import dramatiq
import pytest
from click.testing import CliRunner
from fakeredis import FakeRedis

from tandem.broker.broker import Broker
from tandem.cli.actors import actors
from tests.unit.harness import broker_on


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = broker_on(FakeRedis())
    monkeypatch.setattr("tandem.cli.actors.get_broker", lambda: broker)

    def report(name: str, day: int = 1, *more: str, **rest: Any) -> None:
        """Write a report.

        With many words.
        """

    def tidy() -> None: ...

    dramatiq.actor(broker=broker, queue_name="reports", max_retries=7)(report)
    dramatiq.actor(broker=broker)(tidy)
    return broker


def test_each_actor_is_listed_with_queue_arguments_and_retries(broker: Broker) -> None:
    lines = CliRunner().invoke(actors).output.splitlines()

    assert [line.split("  ")[0] for line in lines] == [
        "ACTOR",
        "report",
        "tidy",
        "next: queue send ACTOR '[ARGUMENT, …]'",
    ]
    assert "reports" in lines[1]
    assert "name: str, day: int = 1, *more: str, **rest: Any" in lines[1]
    assert lines[1].endswith("7  Write a report.")
    assert lines[2].split() == ["tidy", "default", "3"]


def test_json_has_the_same(broker: Broker) -> None:
    report, tidy = json.loads(CliRunner().invoke(actors, ["--json"]).output)

    assert report == {
        "name": "report",
        "queue": "reports",
        "arguments": "name: str, day: int = 1, *more: str, **rest: Any",
        "max_retries": 7,
        "description": "Write a report.",
    }
    assert (tidy["name"], tidy["queue"], tidy["arguments"], tidy["max_retries"]) == ("tidy", "default", "", 3)
