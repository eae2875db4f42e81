"""`queue failed`: what it shows, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakeredis import FakeRedis, FakeServer
from flask import Flask

from tandem import runtime
from tandem.broker import dead_letters
from tandem.cli import main, prompts, terminal
from tests.unit.dead_letters import FAILED_AT, dead_letter_with, places, put, ready, snapshot


@pytest.fixture
def client(application: Flask, redis_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRedis]:
    """The Redis of the command, which knows the queue `summaries` and the actor `summarize`."""
    monkeypatch.setenv("COLUMNS", "140")
    yield FakeRedis(server=redis_server)
    redis_server.connected = True


def failed(*words: str, answer: str = "") -> Result:
    return CliRunner().invoke(main.queue, ["failed", *words], input=answer)


def printed(*words: str) -> list[str]:
    result = failed(*words)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def refused(client: FakeRedis, *words: str, code: int = 1) -> str:
    """The one line of a command that has to fail and to change nothing."""
    before = snapshot(client)
    result = failed(*words)
    assert result.exit_code == code, result.output
    assert snapshot(client) == before
    line: str
    *_usage, line = result.output.splitlines()
    assert line.startswith("Error: ") and (_usage == [] or code == 2)
    return line


@pytest.fixture
def terminal_(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdin is a terminal."""
    monkeypatch.setattr(prompts, "sys", type("Sys", (), {"stdin": type("In", (), {"isatty": lambda: True})}))


def test_the_newest_come_first_and_the_last_line_says_what_to_type_next(client: FakeRedis) -> None:
    for number in range(1234):
        dead_letter_with(client, number, queue=("a", "longer-name")[number % 2])

    lines = printed("show", "--max", "2")

    assert lines == [
        f"time                  queue        actor  error       message{' ' * 43}id",
        f"2025-11-22T08:26:41Z  longer-name  work   ValueError  no 1233{' ' * 43}id-001233",
        f"2025-11-22T08:26:41Z  a            work   ValueError  no 1232{' ' * 43}id-001232",
        "2 of 1,234 shown, newest first; next: queue failed show ID",
    ]
    assert len(printed("show")) == 1 + 20 + 1


def test_without_failed_messages_it_says_so(client: FakeRedis) -> None:
    for words in ("show", "show --stats", "show --queue notes", "retry --all", "remove --all"):
        assert printed(*words.split()) == ["No failed messages."]
    assert json.loads(failed("show", "--json").output) == json.loads(failed("show", "--stats", "--json").output) == []


def test_options_choose_by_queue_actor_and_error(client: FakeRedis) -> None:
    for number in range(12):
        dead_letter_with(client, number, queue="ab"[number % 2], actor=f"actor{number % 3}", error=f"Error{number % 4}")

    assert printed("show", "--queue", "a")[-1].startswith("6 of 6")
    assert printed("show", "--actor", "actor1")[-1].startswith("4 of 4")
    assert printed("show", "--error", "Error1", "--actor", "actor1")[-1].startswith("1 of 1")
    assert printed("show", "--queue", "b", "--error", "Error2") == ["No failed messages."]
    failed("retry", "--all", "--force", "--actor", "actor1", "--queue", "a")
    assert [message["args"] for message in ready(client, "a")] == [[4], [10]]
    assert ready(client, "b") == []


def test_statistics_count_by_error_and_actor_with_the_last_time(client: FakeRedis) -> None:
    for number in range(7):
        dead_letter_with(
            client,
            number,
            queue="ab"[number % 2],
            error="OSError" if number < 2 else "KeyError",
            failed_at=FAILED_AT + number * 1000,
        )

    assert printed("show", "--stats") == [
        "    count  last                  error     actor",
        "        5  2025-11-22T08:26:46Z  KeyError  work",
        "        2  2025-11-22T08:26:41Z  OSError   work",
        "7 in total; next: queue failed show --error CLASS",
    ]
    assert json.loads(failed("show", "--stats", "--json", "--queue", "a").output)[1] == {
        "error": "OSError",
        "actor": "work",
        "count": 1,
        "last_failed_at": "2025-11-22T08:26:40Z",
    }


def test_one_message_is_shown_in_full_with_the_commands_to_type_next(client: FakeRedis) -> None:
    attempts = [
        {"at": f"2025-11-22T08:26:4{number}Z", "worker": "host:w", "error": "KeyError", "message": f"'k{number}'"}
        for number in range(2)
    ]
    dead_letter_with(
        client, 7, error="KeyError", args=("text", {"key": None}), attempts=attempts, attempt_count=25, resent=3
    )

    assert printed("show", "id-000007") == [
        "Failed message id-000007",
        "  queue     default",
        "  actor     work",
        "  call      work('text', {'key': None})",
        "  sent      2025-11-22T08:26:35.000Z",
        "  failed    2025-11-22T08:26:40.007Z",
        "  error     KeyError: 'k1'",
        "  attempts  25",
        "  requeued  3 times",
        "Attempts, newest last (2 of 25 recorded)",
        "  2025-11-22T08:26:40Z  host:w  KeyError: 'k0'",
        "  2025-11-22T08:26:41Z  host:w  KeyError: 'k1'",
        "Traceback of the last attempt",
        "  Traceback:",
        "    line",
        "  KeyError: no 7",
        "Next",
        "  queue failed retry id-000007",
        "  queue failed remove id-000007",
    ]
    shown = json.loads(failed("show", "id-000007", "--json").output)
    assert shown["attempts"] == attempts
    assert shown["args"] == ["text", {"key": None}]


def test_arguments_are_shown_of_one_message_only(client: FakeRedis) -> None:
    id_ = dead_letter_with(client, 1, args=("hunter2",))
    assert "hunter2" in failed("show", id_).output
    for words in (["show"], ["show", "--json"], ["show", "--stats"], ["show", "--stats", "--json"]):
        assert "hunter2" not in failed(*words).output


def test_nothing_that_a_terminal_acts_on_reaches_it(client: FakeRedis) -> None:
    evil = "\x1b[2J\x07\r\n\x9b31m\u202e\ud800"
    attempts = [{"at": evil, "worker": evil, "error": evil, "message": evil}]
    dead_letter_with(client, 1, args=(evil,), attempts=attempts, traceback=evil)
    payload: Any = client.hget("dramatiq:default.XQ.msgs", "id-000001")
    for id_, data in ((evil[:-1], payload), ("bad", evil[:-1].encode())):
        put(client, f"q{evil[:-1]}", id_, data, kind=f"{evil[:-1]}\t{evil[:-1]}")

    for words in (["show"], ["show", "--stats"], ["show", "id-000001"], ["show", evil[:-1]], ["show", "bad"]):
        output = "".join(printed(*words))
        assert output.isprintable(), words
        assert r"\x1b[2J\x07" in output
    for words in (["show", "--json"], ["show", "id-000001", "--json"], ["show", "bad", "--json"]):
        assert failed(*words).output.replace("\n", "").isprintable()


def test_a_message_is_cut_to_the_width_of_the_terminal_and_ids_are_not(client: FakeRedis) -> None:
    attempt = {"at": "", "worker": "", "error": "E", "message": "長い" * 200 + "\nmore"}
    dead_letter_with(client, 1, attempts=[attempt])
    _, line, _ = printed("show")
    assert "…" in line and line.endswith("id-000001")
    assert sum(map(terminal._columns, line)) == 140 - 36 + len("id-000001")


@pytest.mark.parametrize(("width", "expected"), [(5, "abc  "), (3, "abc"), (2, "a…"), (1, "…")])
def test_texts_are_fitted(width: int, expected: str) -> None:
    assert terminal.fitted("abc", width) == expected


def test_wide_characters_count_twice() -> None:
    assert terminal.fitted("日本語", 6) == "日本語"
    assert terminal.fitted("日本語", 5) == "日本…"
    assert terminal.fitted("日本語", 4) == "日… "


def test_ids_are_retried_without_a_question(client: FakeRedis) -> None:
    ids = [dead_letter_with(client, number, queue="ab"[number % 2]) for number in range(4)]

    assert printed("retry", ids[0], ids[1], ids[0]) == [
        "Retried 2 failed messages; next: queue stats, queue failed show"
    ]
    assert places(client, "a") == {ids[0]: ["ready"], ids[2]: ["dead"]}
    assert places(client, "b") == {ids[1]: ["ready"], ids[3]: ["dead"]}
    assert "no failed message has the id id-000000" in refused(client, "retry", ids[0])


def declared(*more: str, of: str) -> str:
    """The names that this image knows, whatever its workloads are, and more."""
    known = runtime.get_broker()
    names = known.get_declared_queues() if of == "queues" else known.get_declared_actors()
    known_names = sorted({*names, *more})
    rest = f" and {len(known_names) - 10} more" if len(known_names) > 10 else ""
    return ", ".join(known_names[:10]) + rest


def test_unknown_names_are_refused_in_one_line_that_lists_the_known_ones(client: FakeRedis) -> None:
    dead_letter_with(client, 1, actor="gone")
    ids = [dead_letter_with(client, number) for number in range(2, 4)]

    assert refused(client, "retry", ids[0], "nope", "none") == (
        "Error: no failed message has the id nope, none: type queue failed show"
    )
    assert "the id nope" in refused(client, "remove", ids[0], "nope", "--force")
    assert "the id \\x1b" in refused(client, "show", "\x1b")
    for command in (["show"], ["show", "--stats"], ["retry", "--all", "--force"], ["remove", "--all", "--force"]):
        assert refused(client, *command, "--queue", "x") == (
            f"Error: unknown queue x: expected one of {declared('default', of='queues')}"
        )
        assert refused(client, *command, "--actor", "x") == (
            f"Error: unknown actor x: expected one of {declared('gone', 'work', of='actors')}"
        )
        assert refused(client, *command, "--error", "x") == "Error: unknown error x: expected one of ValueError"


@pytest.mark.parametrize("command", ["retry", "remove"])
def test_what_is_meant_has_to_be_said_and_said_once(client: FakeRedis, command: str) -> None:
    id_ = dead_letter_with(client, 1)
    assert refused(client, command, code=2) == "Error: expected the IDs of failed messages, or --all"
    assert refused(client, command, id_, "--all", code=2) == "Error: IDs cannot be combined with --all"
    assert "require --all" in refused(client, command, id_, "--queue", "default", code=2)


def test_one_message_is_shown_without_options_of_lists(client: FakeRedis) -> None:
    id_ = dead_letter_with(client, 1)
    for options in (["--stats"], ["--max", "20"], ["--queue", "default"]):
        line = refused(client, "show", id_, *options, code=2)
        assert line == "Error: an ID cannot be combined with options other than --json"


def test_without_a_terminal_nothing_is_destroyed_unless_by_force(client: FakeRedis) -> None:
    ids = [dead_letter_with(client, number, queue="ab"[number % 2]) for number in range(4)]

    line = refused(client, "retry", "--all")
    assert line.startswith("Error: Retry 4 failed messages of 2 queues? Cannot ask for confirmation")
    assert line.endswith("because stdin is not a terminal; use --force to proceed")
    line = refused(client, "remove", "--all", "--queue", "a")
    assert "Remove 2 failed messages of the queue a permanently?" in line
    assert "Remove 1 failed message permanently?" in refused(client, "remove", ids[0])

    assert printed("remove", ids[0], "--force") == ["Removed 1 failed message; next: queue failed show"]
    assert printed("remove", "--all", "--force") == ["Removed 3 failed messages; next: queue failed show"]
    assert client.keys("dramatiq:*") == []


@pytest.mark.usefixtures("terminal_")
def test_a_question_names_the_count_and_a_no_changes_nothing(client: FakeRedis) -> None:
    for number in range(1001):
        dead_letter_with(client, number)
    for words in (["retry", "--all"], ["remove", "--all"]):
        result = failed(*words, answer="n\n")
        assert "1,001 failed messages of the queue default" in result.output
        assert result.exit_code == 1
        assert list(places(client).values()) == [["dead"]] * 1001
    assert failed("retry", "--all", answer="y\n").exit_code == 0
    assert len(ready(client)) == 1001


def test_without_a_terminal_each_tenth_of_many_is_reported(client: FakeRedis) -> None:
    for number in range(1000):
        dead_letter_with(client, number)
    assert printed("retry", "--all", "--force") == [
        *[f"Retried: {number * 100:,} of 1,000" for number in range(1, 11)],
        "Retried 1,000 failed messages; next: queue stats, queue failed show",
    ]


def test_retrying_all_ends_although_messages_go_on_failing(client: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message fails again at once, and is dead later than the command began."""
    for number in range(250):
        dead_letter_with(client, number)
    send = dead_letters.DeadLetters._requeue

    def send_to_fail(letters: dead_letters.DeadLetters, revived: Any) -> int:
        sent = send(letters, revived)
        for letter, _ in revived:
            client.lrem("dramatiq:default", 1, letter.id)
            client.hdel("dramatiq:default.msgs", letter.id)
            dead_letter_with(client, int(letter.id[3:]), failed_at=int(letters.now()) + 5)
        return sent

    monkeypatch.setattr(dead_letters.DeadLetters, "_requeue", send_to_fail)
    assert printed("retry", "--all", "--force")[-1].startswith("Retried 250 failed messages;")
    assert len(places(client)) == 250


@pytest.mark.parametrize("command", ["retry", "remove"])
def test_killed_in_the_middle_every_message_is_in_one_place(
    client: FakeRedis, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    ids = [dead_letter_with(client, number) for number in range(450)]
    step, calls = getattr(dead_letters.DeadLetters, command), 0

    def interrupted(letters: dead_letters.DeadLetters, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return step(letters, batch)

    monkeypatch.setattr(dead_letters.DeadLetters, command, interrupted)
    result = failed(command, "--all", "--force")

    assert result.exit_code == 1
    done = "retried" if command == "retry" else "removed"
    assert result.output == f"Error: stopped; at least 200 failed messages {done}, the others stay\n"
    seen = places(client)
    assert [id_ for id_ in ids if seen.get(id_) == ["dead"]] == ids[200:]
    assert [id_ for id_ in ids if seen.get(id_) == ["ready"]] == (ids[:200] if command == "retry" else [])


def test_an_undecodable_message_is_shown_raw_and_can_only_be_removed(client: FakeRedis) -> None:
    put(client, "default", "bad", b"\xff{garbage", kind="?\tDecodeError")
    id_ = dead_letter_with(client, 1)

    assert printed("show", "bad") == [
        "Failed message bad",
        "  queue     default",
        "  actor     ?",
        "  failed    2025-11-22T08:26:40.000Z",
        "  error     DecodeError: its payload cannot be decoded",
        r"  payload   \xff{garbage",
        "Next",
        "  queue failed remove bad",
    ]
    assert "bad cannot be decoded, so only `queue failed remove`" in refused(client, "retry", "bad", id_)
    line = printed("retry", "--all", "--force")[-1]
    assert line.startswith("Retried 1 failed message; 1 cannot be decoded and stay;")
    assert refused(client, "retry", "--all", "--force") == (
        "Error: Retried 0 failed messages; 1 cannot be decoded and stay"
    )
    printed("remove", "bad", "--force")
    assert places(client) == {id_: ["ready"]}


@pytest.mark.parametrize("words", [["show"], ["show", "x"], ["retry", "x"], ["remove", "--all", "--force"]])
def test_without_redis_one_line_says_so(
    client: FakeRedis,
    redis_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    redis_server.connected = False
    monkeypatch.setattr(sys, "argv", ["queue", "failed", *words])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Redis does not answer: ")


def test_when_redis_goes_away_in_the_middle_it_says_how_far_it_came(
    client: FakeRedis, redis_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(150):
        dead_letter_with(client, number)
    retry = dead_letters.DeadLetters.retry

    def cut(letters: dead_letters.DeadLetters, batch: Any) -> Any:
        outcome = retry(letters, batch)
        redis_server.connected = len(batch) < 100
        return outcome

    monkeypatch.setattr(dead_letters.DeadLetters, "retry", cut)
    result = failed("retry", "--all", "--force")
    redis_server.connected = True
    assert result.exit_code == 1
    assert "at least 100 failed messages retried, the others stay" in result.output
    assert len(ready(client)) == 100
