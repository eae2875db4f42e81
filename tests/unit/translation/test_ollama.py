"""The client of Ollama: only a complete answer counts, and each failure says whether a new try can help."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.queueing.errors import PermanentError
from app.translation.engine.ollama import (
    TRUNCATED,
    UNFINISHED,
    BadAnswer,
    Call,
    Cut,
    Ollama,
    OllamaError,
    OllamaRefused,
    answer_limit,
    full_name,
)

QUESTION = [{"role": "system", "content": "Translate."}, {"role": "user", "content": "Good morning."}]
DONE = {"done": True, "done_reason": "stop", "message": {"content": ""}}


def piece(content: str) -> dict[str, Any]:
    return {"done": False, "message": {"role": "assistant", "content": content}}


def client(answer: Callable[[httpx.Request], httpx.Response]) -> Ollama:
    return Ollama("http://model:11434", timeout=1, num_ctx=2048, transport=httpx.MockTransport(answer))


def stream(*lines: dict[str, Any] | str) -> Ollama:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return client(lambda _request: httpx.Response(200, text="\n".join(texts) + "\n"))


def refusal(status: int, body: str) -> Ollama:
    return client(lambda _request: httpx.Response(status, text=body))


def test_the_pieces_are_the_answer() -> None:
    assert stream(piece("Buenos "), "", piece("días."), DONE).chat("m", QUESTION) == "Buenos días."


@pytest.mark.parametrize("end", ["\u2028", "\u0085", "\x0b"])
def test_a_line_of_the_answer_ends_at_a_line_feed_only(end: str) -> None:
    line = json.dumps(piece(f"Uno.{end}Dos."), ensure_ascii=False)
    assert stream(line, DONE).chat("m", QUESTION) == f"Uno.{end}Dos."


def test_a_line_without_end_is_not_read_for_ever() -> None:
    with pytest.raises(OllamaError, match="a line without an end"):
        client(lambda _request: httpx.Response(200, text="x" * 2_000_000)).chat("m", QUESTION)


def test_the_request_forbids_silent_truncation_and_bounds_the_answer() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        return httpx.Response(200, text=json.dumps(piece("Hola.")) + "\n" + json.dumps(DONE))

    client(answer).chat("gemma3:4b", QUESTION)

    assert seen == [
        {
            "model": "gemma3:4b",
            "messages": QUESTION,
            "stream": True,
            "think": False,
            "truncate": False,
            "shift": False,
            "options": {"num_ctx": 2048, "num_predict": 256, "temperature": 0, "seed": 1},
        }
    ]
    assert answer_limit("x" * 3000) == 4000


@pytest.mark.parametrize(
    ("ollama", "reason"),
    [
        (stream(piece("Buenos ")), "ended in the middle"),
        (stream(piece("Buenos "), {"error": "the runner broke"}), "the runner broke"),
        (stream(piece("x"), {"done": True, "done_reason": "unload"}), "reason 'unload'"),
        (stream("<html>"), "not JSON"),
        (stream("7"), "no object"),
        (refusal(503, '{"error": "server busy, please try again"}'), r"\(503\): server busy"),
        (refusal(502, "Bad Gateway"), "Bad Gateway"),
        (refusal(500, '{"error": "llama-server process has terminated: exit status 2"}'), "terminated"),
        (refusal(500, '{"error": "model runner has unexpectedly stopped"}'), "unexpectedly stopped"),
        (refusal(500, '{"error": "timed out waiting for server to start"}'), "timed out waiting"),
    ],
)
def test_a_new_try_can_mend_it(ollama: Ollama, reason: str) -> None:
    with pytest.raises(OllamaError, match=reason) as error:
        ollama.chat("m", QUESTION)
    assert not isinstance(error.value, PermanentError)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.ReadTimeout("slow")])
def test_a_broken_connection_can_be_mended(error: Exception) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(OllamaError, match="http://model:11434") as seen:
        client(answer).chat("m", QUESTION)
    assert not isinstance(seen.value, PermanentError)


@pytest.mark.parametrize(
    ("ollama", "reason"),
    [
        (refusal(404, '{"error": "model \'x\' not found"}'), r"\(404\): model 'x' not found"),
        (refusal(400, '{"error": "{\\"error\\": {\\"message\\": \\"input is too long\\"}}"}'), ": input is too long"),
        (refusal(403, ""), "no reason given"),
        (refusal(500, '{"error": "option \\"temperature\\" must be of type float32"}'), "must be of type"),
    ],
)
def test_a_new_try_cannot_mend_it(ollama: Ollama, reason: str) -> None:
    with pytest.raises(OllamaRefused, match=reason):
        ollama.chat("m", QUESTION)


@pytest.mark.parametrize(
    ("ollama", "kind"),
    [
        (stream(piece("x"), {"done": True, "done_reason": "length"}), TRUNCATED),
        (stream(piece("x"), {"done": True, "done_reason": "unload"}), UNFINISHED),
        (stream(piece("x"), {"error": "the runner broke"}), UNFINISHED),
        (stream(piece("x")), UNFINISHED),
    ],
)
def test_an_answer_without_a_proper_end_is_named(ollama: Ollama, kind: str) -> None:
    with pytest.raises(BadAnswer) as error:
        ollama.chat("m", QUESTION)
    assert error.value.kind == kind


def test_asking_again_asks_in_another_way() -> None:
    options: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        options.append(json.loads(request.content)["options"])
        return httpx.Response(200, text=json.dumps(piece("Hola.")) + "\n" + json.dumps(DONE))

    for again in range(3):
        client(answer).chat("m", QUESTION, again=again)

    assert len({(one["seed"], one["temperature"]) for one in options}) == 3


class Silent:
    """A server that takes a request and answers with `first`, and then nothing until its client has gone."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked, self.gone = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, self._listener:
            connection.settimeout(10)
            connection.recv(65536)
            connection.sendall(self._first)
            self.asked.set()
            while connection.recv(65536):
                pass
            self.gone.set()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"


@pytest.mark.parametrize("first", [b"", HEAD, HEAD + json.dumps(piece("Buenos ")).encode() + b"\n"])
def test_a_call_that_is_cut_ends_at_once_on_both_sides(first: bytes) -> None:
    server, call = Silent(first), Call()
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            Ollama(server.url, timeout=30, num_ctx=2048).chat("m", QUESTION, call=call)
        except Cut as error:
            ended.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert server.asked.wait(10)
    call.cut()
    asking.join(5)

    assert not asking.is_alive()
    assert server.gone.wait(5)
    assert [type(error) for error in ended] == [Cut]


def test_a_call_that_was_cut_before_it_began_asks_nothing() -> None:
    server, call = Silent(b""), Call()
    call.cut()

    with pytest.raises(Cut):
        Ollama(server.url, timeout=30, num_ctx=2048).chat("m", QUESTION, call=call)


def test_models_are_listed_with_their_tags() -> None:
    ollama = client(lambda _request: httpx.Response(200, json={"models": [{"name": "gemma3:4b"}]}))
    assert ollama.models() == {"gemma3:4b"}
    assert full_name("x") == "x:latest"
    assert full_name("host:5000/x") == "host:5000/x:latest"


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, text="{}"), httpx.Response(200, text="")])
def test_a_list_that_cannot_be_read_is_an_ollama_error(answer: httpx.Response) -> None:
    with pytest.raises(OllamaError, match="does not list its models"):
        client(lambda _request: answer).models()
