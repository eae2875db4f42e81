"""The client of Ollama: only complete answers are accepted, and each error says whether a retry can help."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.translation.engine.names import full_name
from app.translation.engine.ollama import (
    LOOP,
    REPEATED_TOKENS,
    TRUNCATED,
    UNFINISHED,
    BadAnswer,
    Call,
    Cancelled,
    NoAnswer,
    Ollama,
    OllamaError,
    OllamaRefused,
    TooLong,
    Unavailable,
    answer_limit,
)
from tandem.broker.errors import PermanentError

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


def test_a_line_that_is_too_long_is_refused() -> None:
    with pytest.raises(OllamaError, match="a line longer than"):
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
        (stream("7"), "not a JSON object"),
        (refusal(503, '{"error": "server busy, please try again"}'), r"\(503\): server busy"),
        (refusal(502, "Bad Gateway"), "Bad Gateway"),
        (refusal(500, '{"error": "llama-server process has terminated: exit status 2"}'), "terminated"),
        (refusal(500, '{"error": "model runner has unexpectedly stopped"}'), "unexpectedly stopped"),
        (refusal(500, '{"error": "timed out waiting for server to start"}'), "timed out waiting"),
        (refusal(500, '{"error": "an error was encountered while running the model: unexpected EOF"}'), "EOF"),
        (refusal(500, '{"error": "llama-server chat error: whatever it is"}'), "chat error"),
        (refusal(500, '{"error": "something that nobody has seen yet"}'), "nobody has seen"),
    ],
)
def test_temporary_errors_can_be_retried(ollama: Ollama, reason: str) -> None:
    with pytest.raises(OllamaError, match=reason) as error:
        ollama.chat("m", QUESTION)
    assert not isinstance(error.value, PermanentError)


@pytest.mark.parametrize(
    "reason",
    [
        "llama-server reported out-of-memory during startup",
        'health resp: Get "http://127.0.0.1:40337/health"',
        "dial tcp 127.0.0.1:40337: connect: connection refused",
        "server not responding",
        "unexpected server status: 2",
        "no slots available after 10s",
        "error starting llama-server: fork/exec: resource temporarily unavailable",
        "timed out waiting for llama runner to start",
        "model requires more system memory (5.6 GiB) than is available (3.2 GiB)",
    ],
)
def test_a_model_that_is_not_loaded_yet_is_unavailable(reason: str) -> None:
    with pytest.raises(Unavailable, match=r"\(500\)"):
        refusal(500, json.dumps({"error": reason})).chat("m", QUESTION)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable):
        refusal(status, "").chat("m", QUESTION)


def test_a_model_that_crashed_on_a_text_is_not_unavailable() -> None:
    with pytest.raises(OllamaError) as error:
        refusal(500, '{"error": "llama-server process has terminated: signal: killed"}').chat("m", QUESTION)
    assert not isinstance(error.value, Unavailable)


@pytest.mark.parametrize(
    ("error", "waited_for"),
    [
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("slow"), True),
        (httpx.ReadError("reset"), False),
        (httpx.ReadTimeout("slow"), True),
    ],
)
def test_an_unreachable_and_a_silent_server_are_unavailable(error: Exception, waited_for: bool) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(OllamaError) as seen:
        client(answer).chat("m", QUESTION)
    assert isinstance(seen.value, Unavailable) == waited_for


def test_a_refused_connection_to_the_host_says_on_which_address_ollama_listens() -> None:
    def refused(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused")

    def ollama(host: str) -> Ollama:
        return Ollama(f"http://{host}:11434", timeout=1, num_ctx=2048, transport=httpx.MockTransport(refused))

    asks: list[Callable[[Ollama], object]] = [lambda o: o.chat("m", QUESTION), lambda o: o.models()]
    for ask in asks:
        with pytest.raises(Unavailable, match=r"OLLAMA_HOST=0\.0\.0\.0"):
            ask(ollama("host.docker.internal"))
        with pytest.raises(Unavailable) as elsewhere:
            ask(ollama("model"))
        assert "OLLAMA_HOST" not in str(elsewhere.value)


@pytest.mark.parametrize(
    "body",
    [
        '{"error": "{\\"error\\": {\\"message\\": \\"request (1053 tokens) exceeds the available context size '
        '(1024 tokens), try increasing it\\"}}"}',
        '{"error": "the input length exceeds the context length"}',
        '{"error": "prompt too long; exceeded max context length by 12 tokens"}',
    ],
)
def test_a_prompt_that_does_not_fit_is_a_separate_error_that_names_the_setting(body: str) -> None:
    with pytest.raises(TooLong, match="OLLAMA_NUM_CTX=2048"):
        refusal(400, body).chat("m", QUESTION)


def test_the_warm_up_has_the_launch_options_of_real_calls() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        reason = "stop" if seen[-1]["messages"] else "load"
        return httpx.Response(200, text=json.dumps(DONE | {"done_reason": reason}))

    client(answer).load("m")
    client(answer).chat("m", QUESTION)

    warm_up, call = ({k: v for k, v in one.items() if k not in ("messages", "stream")} for one in seen)
    assert warm_up == call
    assert warm_up["shift"] is False


@pytest.mark.parametrize("end", ["", '{"error": "prediction aborted, token repeat limit reached"}'])
@pytest.mark.parametrize("token", [" .", "ja", "\n"])
def test_a_repeated_token_is_a_loop(token: str, end: str) -> None:
    lines: list[dict[str, Any] | str] = [piece("Uno"), *[piece(token)] * (REPEATED_TOKENS + 6), *([end] if end else [])]
    with pytest.raises(BadAnswer) as error:
        stream(*lines).chat("m", QUESTION)
    assert (error.value.kind, error.value.answer) == (LOOP, "Uno" + token * (REPEATED_TOKENS + 6))


def test_characters_are_those_of_the_current_attempt() -> None:
    call = Call()
    for _ in range(3):
        stream(piece("Buenos días."), DONE).chat("m", QUESTION, call=call)
    assert call.characters == len("Buenos días.")


@pytest.mark.parametrize("capabilities", [["completion", "tools"], ["embedding"], None])
def test_an_embedding_model_cannot_chat(capabilities: list[str] | None) -> None:
    ollama = client(lambda _request: httpx.Response(200, json={"capabilities": capabilities}))
    assert ollama.can_chat("m") == (capabilities != ["embedding"])


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.ReadTimeout("slow")])
def test_a_broken_connection_can_be_retried(error: Exception) -> None:
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
def test_permanent_errors_are_not_retried(ollama: Ollama, reason: str) -> None:
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
def test_an_incomplete_answer_is_reported(ollama: Ollama, kind: str) -> None:
    with pytest.raises(BadAnswer) as error:
        ollama.chat("m", QUESTION)
    assert error.value.kind == kind


def test_a_retry_has_another_seed_and_temperature() -> None:
    options: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        options.append(json.loads(request.content)["options"])
        return httpx.Response(200, text=json.dumps(piece("Hola.")) + "\n" + json.dumps(DONE))

    for again in range(3):
        client(answer).chat("m", QUESTION, retries=again)

    assert len({(one["seed"], one["temperature"]) for one in options}) == 3


class Silent:
    """A server that answers a request with `first`, and then nothing until its client has disconnected."""

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
def test_a_cancelled_call_ends_immediately_on_both_sides(first: bytes) -> None:
    server, call = Silent(first), Call()
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            Ollama(server.url, timeout=30, num_ctx=2048).chat("m", QUESTION, call=call)
        except Cancelled as error:
            ended.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert server.asked.wait(10)
    call.cancel()
    asking.join(5)

    assert not asking.is_alive()
    assert server.gone.wait(5)
    assert [type(error) for error in ended] == [Cancelled]


def ask_in_a_thread(server: Silent, call: Call) -> tuple[threading.Thread, list[BaseException]]:
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            Ollama(server.url, timeout=0.2, num_ctx=2048).chat("m", QUESTION, call=call)
        except OllamaError as error:
            ended.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert server.asked.wait(10)
    return asking, ended


def test_the_first_byte_can_have_a_longer_timeout_and_another_thread_can_give_it_up() -> None:
    server, call = Silent(b""), Call(wait=30)
    asking, ended = ask_in_a_thread(server, call)
    asking.join(0.6)
    assert asking.is_alive()

    call.give_up()
    asking.join(5)

    assert server.gone.wait(5)
    assert [type(error) for error in ended] == [NoAnswer]


def test_after_the_first_byte_the_normal_timeout_applies() -> None:
    asking, ended = ask_in_a_thread(Silent(HEAD + json.dumps(piece("Buenos ")).encode() + b"\n"), Call(wait=30))
    asking.join(5)
    assert not asking.is_alive()
    assert "silent for too long (ReadTimeout)" in str(ended[0])
    assert not isinstance(ended[0], Unavailable)


def test_a_call_cancelled_before_it_began_sends_no_request() -> None:
    server, call = Silent(b""), Call()
    call.cancel()

    with pytest.raises(Cancelled):
        Ollama(server.url, timeout=30, num_ctx=2048).chat("m", QUESTION, call=call)


def test_models_are_listed_with_their_tags() -> None:
    ollama = client(lambda _request: httpx.Response(200, json={"models": [{"name": "gemma3:4b"}]}))
    assert ollama.models() == {"gemma3:4b"}


@pytest.mark.parametrize(
    ("written", "compared_as"),
    [
        ("x", "x:latest"),
        ("Smol", "smol:latest"),
        ("library/smol", "smol:latest"),
        ("registry.ollama.ai/library/smol:135M", "smol:135m"),
        ("hf.co/Someone/Model:Q4_K_M", "hf.co/someone/model:q4_k_m"),
        ("host:5000/x", "host:5000/x:latest"),
    ],
)
def test_names_are_compared_as_ollama_does(written: str, compared_as: str) -> None:
    assert full_name(written) == compared_as


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, text="{}"), httpx.Response(200, text="")])
def test_a_list_that_cannot_be_read_is_an_ollama_error(answer: httpx.Response) -> None:
    with pytest.raises(OllamaError, match="failed to list its models"):
        client(lambda _request: answer).models()
