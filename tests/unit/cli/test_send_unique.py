"""`queue send` says in one line why a unique message was not sent."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
from click.testing import CliRunner
from fakeredis import FakeRedis

from tandem import runtime
from tandem.broker.unique import UniqueOptions
from tandem.cli.send import send
from tests.unit.harness import FIRST, broker_on


@pytest.mark.parametrize(
    ("unique", "line"),
    [
        (True, "Error: nothing was sent: a message of work with the same key is in the queue"),
        (lambda *_: 1 / 0, "Error: nothing was sent: the option unique of work failed: ZeroDivisionError"),
    ],
)
def test_a_unique_message_that_is_not_sent_is_an_error(
    redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch, unique: Any, line: str
) -> None:
    broker = broker_on(redis_, FIRST, UniqueOptions())
    dramatiq.actor(broker=broker, actor_name="work", unique=unique, on_duplicate="error")(lambda: None)
    monkeypatch.setattr(runtime, "configure", lambda _settings: broker)
    CliRunner().invoke(send, ["work"])
    ended = CliRunner().invoke(send, ["work"])
    assert ended.exit_code == 1 and ended.output.startswith(line), ended.output
