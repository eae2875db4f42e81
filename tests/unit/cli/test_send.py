"""`queue send`: a message as the actor takes it, or one line and nothing sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from click.testing import CliRunner, Result
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from fakeredis import FakeRedis, FakeServer

from tandem import runtime
from tandem.cli import main
from tandem.cli.send import send
from tandem.config import settings
from tandem.operate import control
from tandem.support import durations


class Seen(dramatiq.Middleware):
    def __init__(self) -> None:
        self.messages: list[tuple[dramatiq.Message[Any], int | None]] = []

    def before_enqueue(self, broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
        self.messages.append((message, delay))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """What was sent to a broker with one actor."""
    seen = Seen()
    broker: Any = StubBroker(middleware=[seen])
    broker.client = FakeRedis()

    @dramatiq.actor(broker=broker, queue_name="invoices")
    def charge(order: int, currency: str = "EUR") -> None: ...

    monkeypatch.setattr(runtime, "configure", lambda _settings: broker)
    yield seen


def run(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(send, arguments, input=given)


def test_positional_and_keyword_arguments_arrive_unchanged(seen: Seen) -> None:
    assert run("charge", '[5, "USD"]').exit_code == 0
    assert run("charge", '{"order": 6}').exit_code == 0

    assert [(message.args, message.kwargs, delay) for message, delay in seen.messages] == [
        ((5, "USD"), {}, None),
        ((), {"order": 6}, None),
    ]


def test_arguments_of_a_generic_actor_are_checked(seen: Seen) -> None:
    class Refund(dramatiq.GenericActor):
        class Meta:
            queue_name = "invoices"
            broker = runtime.configure(settings.current())

        def perform(self, order: int) -> None: ...

    assert run("Refund", '["five"]').output == 'Error: Refund: order: "five" is invalid: expected a whole number\n'
    assert run("Refund", "[5]").exit_code == 0


def test_it_says_the_id_and_what_to_type_next(seen: Seen) -> None:
    output = run("charge", "[5]").output

    id_ = seen.messages[0][0].message_id
    assert output.splitlines() == [
        f"sent {id_} to invoices",
        f"next: queue stats; if it fails: queue failed show {id_}",
    ]


def test_it_says_that_a_paused_queue_has_to_be_resumed(seen: Seen) -> None:
    broker: Any = runtime.configure(settings.current())
    control.pause(broker.client, "invoices")

    assert "invoices is paused; to resume it: queue resume invoices" in run("charge", "[5]").output


@pytest.mark.parametrize(
    ("delay", "milliseconds"), [("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000), ("0s", 0)]
)
def test_a_delay_is_kept(seen: Seen, delay: str, milliseconds: int) -> None:
    result = run("charge", "[5]", "--delay", delay)

    assert [delay for _, delay in seen.messages] == [milliseconds]
    assert f"to invoices, due in {delay}\n" in result.output


def test_arguments_can_come_from_standard_input(seen: Seen) -> None:
    assert run("charge", "-", given='[5, "\u20ac"]').exit_code == 0

    assert seen.messages[0][0].args == (5, "\u20ac")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nope"], "unknown actor nope: expected one of charge"),
        (["charge"], "charge: missing a required argument: 'order': expected order: int, currency: str = 'EUR'"),
        (["charge", '["5"]'], 'charge: order: "5" is invalid: expected a whole number'),
        (["charge", "5"], "charge: 5 is invalid: expected a list of arguments, or an object with their names"),
        (["charge", "[5"], "charge: [5 is not JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (["charge", "[5]", "--delay", "soon"], "--delay soon is invalid: expected 30s, 10m, 2h or 1d, at most 7d"),
        (["charge", "[5]", "--delay", "8d"], "--delay 8d is invalid: expected 30s, 10m, 2h or 1d, at most 7d"),
        (["charge", "[5]", "--delay", ""], "--delay  is invalid: expected 30s, 10m, 2h or 1d, at most 7d"),
    ],
)
def test_invalid_input_is_refused_in_one_line_and_nothing_is_sent(seen: Seen, arguments: list[str], line: str) -> None:
    result = run(*arguments)

    assert (result.exit_code, result.output) == (1, f"Error: {line}\n")
    assert seen.messages == []


@pytest.mark.parametrize("given", [b'["' + b"x" * 2**20 + b'"]', b"\xff\xfe"])
def test_bad_standard_input_is_refused_in_one_short_line(seen: Seen, given: bytes) -> None:
    result = run("charge", "-", given=given)

    assert result.exit_code == 1
    assert result.output.count("\n") == 1 and len(result.output) < 250
    assert seen.messages == []


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "5w", "1.5h", "1h30m", "9999999999d", "\u0665m"])
def test_what_is_no_span_is_none(text: str) -> None:
    assert durations.parse(text) is None


def test_spans_are_read() -> None:
    assert durations.parse("90m") == timedelta(hours=1, minutes=30)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def registered(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRedis]:
    """The Redis of a broker that the whole command `queue` works on."""
    with FakeRedis(server=server) as client:
        broker = RedisBroker(client=client)

        @dramatiq.actor(broker=broker, queue_name="invoices")
        def charge(order: int) -> None: ...

        monkeypatch.setattr(runtime, "configure", lambda _settings: broker)
        monkeypatch.setattr("app.workloads", ())
        yield client


def queue(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["queue", *arguments])
    with pytest.raises(SystemExit) as end:
        main.main()
    return end.value.code


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "charge", "[5]"],
        ["pause", "invoices"],
        ["resume", "invoices"],
        ["purge", "invoices", "--force"],
        ["stop-workers"],
    ],
)
def test_an_unavailable_redis_is_reported_in_one_line(
    registered: FakeRedis,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    server.connected = False

    assert queue(monkeypatch, *arguments) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: Redis does not answer: ") and captured.err.count("\n") == 1


def test_a_message_is_ready_once_it_was_sent(registered: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert queue(monkeypatch, "send", "charge", "[5]") == 0

    assert registered.llen("dramatiq:invoices") == 1
