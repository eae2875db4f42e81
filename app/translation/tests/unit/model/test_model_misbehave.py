"""The offline model's failures, as a client meets them on its socket."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from app.translation.model.kinds import Misbehaviour
from app.translation.model.server import ModelServer
from app.translation.model.settings import Settings

pytestmark = pytest.mark.slow

DELAY = 0.3
TEXT = "one two three four"


class FakeTranslator:
    """Turns the text into capitals."""

    def translate(self, text: str, source: str, target: str, gone: Callable[[], bool]) -> str:
        return text.upper()


@contextmanager
def serving(settings: Settings) -> Iterator[int]:
    with ModelServer(settings, FakeTranslator(), "127.0.0.1") as server:
        server.daemon_threads = False  # so that closing waits for the last line of the log
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a running server with test models."""
    with serving(Settings(port=0, test_models=True, delay=DELAY)) as number:
        yield number


class Answer:
    """All that a client gets from one chat."""

    def __init__(self, port: int, model: str, text: str = TEXT, **fields: Any) -> None:
        messages = [
            {"role": "system", "content": "Translate from English (en) to Spanish (es)."},
            {"role": "user", "content": text},
        ]
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        started = time.monotonic()
        connection.request("POST", "/api/chat", json.dumps({"model": model, "messages": messages} | fields))
        response = connection.getresponse()
        self.first_byte = time.monotonic() - started
        self.status = response.status
        self.lines = [json.loads(line) for line in response.read().splitlines()]
        connection.close()

    @property
    def content(self) -> str:
        return "".join(line["message"]["content"] for line in self.lines if "message" in line)


def raw_chat(port: int, model: str) -> socket.socket:
    """A socket on which the chat was asked for, and nothing read yet."""
    messages = [{"role": "user", "content": f"Translate to Spanish: {TEXT}"}]
    body = json.dumps({"model": model, "messages": messages})
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(f"POST /api/chat HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return client


def read_until(client: socket.socket, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        more = client.recv(65536)
        assert more, f"the connection ended before {wanted!r}"
        data += more
    return data


def test_every_misbehaviour_is_listed(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/tags")
    names = {model["name"] for model in json.load(connection.getresponse())["models"]}
    connection.close()
    assert names == {"apertium:latest"} | {f"apertium-{kind}:latest" for kind in Misbehaviour}


def test_slow_sends_no_byte_before_the_delay_and_then_answers_well(port: int) -> None:
    answer = Answer(port, "apertium-slow")
    assert answer.first_byte >= DELAY
    assert answer.content == TEXT.upper()
    assert answer.lines[-1]["done_reason"] == "stop"


def test_fixed_latency_takes_the_delay_and_answers_in_other_letters(port: int) -> None:
    answer = Answer(port, "apertium-fixed-latency")
    assert DELAY <= answer.first_byte < DELAY + 0.5
    assert (answer.content, answer.lines[-1]["eval_count"]) == ("bar gjb guerr sbhe", 4)


def test_stall_falls_silent_after_some_tokens_until_the_client_leaves(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    client = raw_chat(port, "apertium-stall")
    read_until(client, b"TWO")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.close()
    deadline = time.monotonic() + 5
    output = ""
    while "499" not in output and time.monotonic() < deadline:
        time.sleep(0.01)
        output += capfd.readouterr().out
    assert "POST /api/chat 499 " in output


def test_cut_resets_the_connection_in_the_middle_of_the_stream(port: int) -> None:
    with raw_chat(port, "apertium-cut") as client:
        data = read_until(client, b"TWO")
        assert b"THREE" not in data
        with pytest.raises(ConnectionResetError):
            while client.recv(65536):
                pass


def test_error_line_comes_after_a_token_with_status_200(port: int) -> None:
    answer = Answer(port, "apertium-error-line")
    assert answer.status == 200
    assert answer.content == "ONE"
    assert answer.lines[1:] == [{"error": "an error was encountered while running the model: unexpected EOF"}]


def test_error_line_without_streaming_is_a_500(port: int) -> None:
    assert Answer(port, "apertium-error-line", stream=False).status == 500


def test_no_done_ends_properly_but_without_the_last_object(port: int) -> None:
    answer = Answer(port, "apertium-no-done")
    assert answer.content == TEXT.upper()
    assert not any(line["done"] for line in answer.lines)
    assert Answer(port, "apertium-no-done", stream=False).lines[0]["done"] is False


def test_length_ends_early_and_says_so(port: int) -> None:
    answer = Answer(port, "apertium-length")
    assert (answer.content, answer.lines[-1]["done_reason"]) == ("ONE TWO", "length")


def test_empty_is_done_without_a_word(port: int) -> None:
    answer = Answer(port, "apertium-empty")
    assert (answer.content, len(answer.lines), answer.lines[0]["done_reason"]) == ("", 1, "stop")


@pytest.mark.parametrize(
    ("model", "status", "error"),
    [
        ("apertium-404", 404, "model 'apertium-404' not found"),
        ("apertium-500", 500, "llama runner process has terminated: exit status 2"),
        ("apertium-embedding", 400, '"apertium-embedding" does not support chat'),
        ("apertium-bad-option-500", 500, 'option "num_ctx" must be of type integer'),
    ],
)
def test_refusals_have_ollamas_status_and_text(port: int, model: str, status: int, error: str) -> None:
    answer = Answer(port, model)
    assert (answer.status, answer.lines) == (status, [{"error": error}])
    assert Answer(port, model, messages=[]).status == status


def test_503_then_well_counts_each_text_for_itself(port: int) -> None:
    Answer(port, "apertium", "one")
    first = [Answer(port, "apertium-503-then-well", "one") for _ in range(3)]
    assert [answer.status for answer in first] == [503, 503, 200]
    assert first[0].lines[0]["error"].startswith("server busy, please try again.  maximum pending requests")
    assert Answer(port, "apertium-503-then-well", "two").status == 503


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("eof-then-well", "an error was encountered while running the model: unexpected EOF"),
        ("no-room-then-well", "llama-server reported out-of-memory during startup"),
    ],
)
def test_temporary_500s_are_followed_by_an_answer(port: int, kind: str, error: str) -> None:
    answers = [Answer(port, f"apertium-{kind}") for _ in range(3)]
    assert [answer.status for answer in answers] == [500, 500, 200]
    assert answers[0].lines == [{"error": error}]


def test_repeated_tokens_end_the_answer_without_done(port: int) -> None:
    answer = Answer(port, "apertium-repeat")
    assert answer.content == "ONE" + " ." * 31
    assert not any(line["done"] for line in answer.lines)


def test_narrow_has_a_smaller_context_than_asked_for_and_says_so_in_nested_json(port: int) -> None:
    assert Answer(port, "apertium-narrow", truncate=False, options={"num_ctx": 4096}).status == 200
    refused = Answer(port, "apertium-narrow", TEXT * 100, truncate=False, options={"num_ctx": 4096})
    assert refused.status == 400
    assert (
        "exceeds the available context size (256 tokens)" in json.loads(refused.lines[0]["error"])["error"]["message"]
    )


def test_echo_returns_the_source(port: int) -> None:
    assert Answer(port, "apertium-echo").content == TEXT


def test_preamble_stands_before_the_answer(port: int) -> None:
    assert Answer(port, "apertium-preamble").content == "Here is the translation:\n\nONE TWO THREE FOUR"


def test_think_and_note_and_quotes_stand_around_the_answer(port: int) -> None:
    thought = Answer(port, "apertium-think").content
    assert thought.startswith("<think>\n")
    assert thought.endswith("</think>\n\nONE TWO THREE FOUR")
    assert Answer(port, "apertium-note").content.startswith("ONE TWO THREE FOUR\n\nNote: ")
    assert Answer(port, "apertium-quotes").content == '"ONE TWO THREE FOUR"'


def test_loop_goes_on_until_the_limit_of_words(port: int) -> None:
    answer = Answer(port, "apertium-loop", options={"num_predict": 100})
    assert answer.content.split() == ["ONE", "TWO", "THREE", "FOUR"] + ["ONE", "TWO", "THREE"] * 32
    assert answer.lines[-1]["done_reason"] == "length"


def test_loop_then_stop_ends_by_itself(port: int) -> None:
    answer = Answer(port, "apertium-loop-then-stop", options={"num_predict": 256})
    assert answer.content == "ONE TWO THREE FOUR" + " ONE TWO THREE" * 40
    assert answer.lines[-1]["done_reason"] == "stop"


def test_short_and_long_are_far_from_the_texts_length(port: int) -> None:
    assert Answer(port, "apertium-short").content == "ONE"
    long = Answer(port, "apertium-long", options={"num_predict": 256})
    words = long.content.split()
    assert long.lines[-1]["done_reason"] == "stop"
    assert len(long.content) > 5 * len(TEXT) + 150
    assert len(words) == len(set(words))


MASKED = "⟦1⟧ {name} ⟦2⟧ %s"


def test_placeholders_are_lost_and_changed(port: int) -> None:
    assert Answer(port, "apertium-placeholders", MASKED).content.split() == ["{NAMEs}", "[2]", "%", "S"]


def test_placeholders_then_well_counts_each_text_for_itself(port: int) -> None:
    answers = [Answer(port, "apertium-placeholders-then-well", MASKED).content for _ in range(3)]
    assert answers[0] == answers[1] != MASKED.upper()
    assert answers[2] == MASKED.upper()
    assert Answer(port, "apertium-placeholders-then-well", f"{MASKED} two").content != f"{MASKED} two".upper()
    assert Answer(port, "apertium-503-then-well", MASKED).status == 503


def test_slow_words_come_one_by_one_until_the_delay(port: int) -> None:
    started = time.monotonic()
    with raw_chat(port, "apertium-slow-words") as client:
        assert b"FOUR" not in read_until(client, b"ONE")
        read_until(client, b"stop")
        assert time.monotonic() - started >= DELAY


def calls(port: int) -> dict[str, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/test/calls")
    seen: dict[str, Any] = json.load(connection.getresponse())
    connection.close()
    return seen


@pytest.mark.parametrize("kind", ["slow", "slow-words", "stall"])
def test_a_client_that_leaves_is_counted(kind: str) -> None:
    with serving(Settings(port=0, test_models=True, delay=60)) as port:
        client = raw_chat(port, f"apertium-{kind}")
        deadline = time.monotonic() + 5
        while calls(port)["chat"] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        client.close()
        while calls(port)["gone"] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (calls(port)["chat"], calls(port)["gone"]) == (1, 1)


def test_a_connection_that_the_server_cuts_is_not_counted(port: int) -> None:
    with raw_chat(port, "apertium-cut") as client, pytest.raises(ConnectionResetError):
        while client.recv(65536):
            pass
    assert calls(port)["gone"] == 0


def test_the_environment_makes_the_honest_model_misbehave() -> None:
    with serving(Settings(port=0, misbehave=Misbehaviour.ECHO)) as port:
        assert Answer(port, "apertium").content == TEXT


def test_calls_are_counted_by_text_but_not_preloads(port: int) -> None:
    for model in ("apertium", "apertium-500", "apertium"):
        Answer(port, model)
    Answer(port, "apertium", "other")
    Answer(port, "apertium", messages=[])
    assert calls(port) == {
        "chat": 4,
        "most_running": 1,
        "gone": 0,
        "loads": ["load apertium:latest {'num_ctx': 4096, 'shift': True}"],
        "texts": {TEXT: 3, "other": 1},
    }
