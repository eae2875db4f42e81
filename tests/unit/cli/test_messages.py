"""The commands `queue messages`, `queue cancel`, `queue run` and the log of actions."""

from __future__ import annotations

import json
from typing import Any

import dramatiq
import pytest
from click import Command
from click.testing import CliRunner, Result
from fakeredis import FakeRedis

from tandem import runtime
from tandem.broker import keys
from tandem.broker.broker import Broker
from tandem.cli import messages as commands
from tandem.cli.logs import show_logs
from tandem.config import settings
from tandem.operate import action_log


@pytest.fixture
def broker(redis_client: FakeRedis) -> Broker:
    return runtime.configure(settings.current())


def put(broker: Broker, *ids: str, delay: int | None = None) -> None:
    for id_ in ids:
        broker.enqueue(dramatiq.Message("mail", "deliver", (f"to {id_}",), {}, {}, message_id=id_), delay=delay)


def run(command: Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_messages_are_listed_with_what_to_type_next(broker: Broker) -> None:
    put(broker, "a", "b")
    put(broker, "later", delay=60_000)
    answer = run(commands.messages)
    assert [line.split()[0] for line in answer.output.splitlines()[1:4]] == ["ready", "ready", "delayed"]
    assert "in 60 s" in answer.output or "in 1 min 00 s" in answer.output
    assert answer.output.endswith("next: queue messages ID, queue cancel ID, queue run ID\n")


def test_a_search_finds_by_arguments_and_json_has_them(broker: Broker) -> None:
    put(broker, "a", "b")
    (found,) = json.loads(run(commands.messages, "--search", "to b", "--json").output)
    assert (found["id"], found["state"], found["args"]) == ("b", "ready", ["to b"])
    assert run(commands.messages, "--search", "nothing").output == "No messages.\n"


def test_one_message_is_shown_with_its_arguments(broker: Broker) -> None:
    put(broker, "later", delay=60_000)
    answer = run(commands.messages, "later").output
    assert "call      deliver('to later')" in answer
    assert "queue run later" in answer


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--queue", "nothing"), "unknown queue nothing"),
        (("--state", "ready", "--error", "X"), "only failed and handled messages have an error"),
        (("nothing",), "no message has this id"),
    ],
)
def test_what_cannot_be_found_is_one_line(broker: Broker, arguments: tuple[str, ...], reason: str) -> None:
    answer = run(commands.messages, *arguments)
    assert (answer.exit_code, reason in answer.output, answer.output.count("\n")) == (1, True, 1)


def test_cancel_asks_and_says_what_it_has_done(broker: Broker) -> None:
    put(broker, "a", "b")
    assert run(commands.cancel, "a").exit_code == 1
    assert broker.client.llen(keys.ready("mail")) == 2
    answer = run(commands.cancel, "a", "nothing", "--force")
    assert answer.output.splitlines() == ["a: removed", "nothing: no message has this id; next: queue messages"]
    assert run(commands.cancel, "a", "--force").exit_code == 1


def test_run_keeps_the_order_of_its_ids(broker: Broker) -> None:
    put(broker, "a", "b", "c")
    assert run(commands.run, "c", "b").exit_code == 0
    assert broker.client.lrange(keys.ready("mail"), 0, -1) == [b"c", b"b", b"a"]


def test_actions_are_shown_oldest_first(broker: Broker, tmp_path: Any) -> None:
    put(broker, "a")
    run(commands.run, "a")
    run(commands.cancel, "a", "--force")
    lines = run(show_logs, "--actions").output.splitlines()
    assert [line.split()[1:3] for line in lines] == [["WHO", "WHAT"], ["cli", "run"], ["cli", "cancel"]]


def test_the_action_log_is_bounded_and_tolerates_another_version(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_log, "MAX_ACTIONS", 3)
    for number in range(5):
        action_log.note(broker.client, "pause", f"queue{number}" + "x" * 1000)
    broker.client.lpush(keys.ACTIONS, b"\xff", '{"who": "later"}')
    found = action_log.newest(broker.client, 10)
    assert [action.about[:6] for action in found] == ["queue4", "queue3", "queue2"]
    assert max(len(action.about) for action in found) == action_log.MAX_LENGTH
