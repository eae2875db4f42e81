"""The offline model speaks Ollama's API: a real server on loopback with a fake translator."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from app.translation.model.errors import ApiError, ClientGone
from app.translation.model.healthcheck import healthy
from app.translation.model.server import ModelServer
from app.translation.model.settings import Settings
from tests.paths import ROOT

pytestmark = pytest.mark.slow

TO_SPANISH = {"role": "system", "content": "Translate from English (en) to Spanish (es)."}
TEXT = "  The house\nis {big}.\n\n "
# What the fake makes of it.
TRANSLATION = "en>es   The house\nis {big}.\n\n "


class FakeTranslator:
    """Puts the pair in front of the text; waits for ever when the text is ``hang``."""

    def __init__(self) -> None:
        self.hanging = threading.Event()
        self.gone = threading.Event()

    def translate(self, text: str, source: str, target: str, gone: Callable[[], bool]) -> str:
        if text == "break":
            raise ApiError(500, "apertium process has terminated: exit status 1")
        if text == "hang":
            self.hanging.set()
            while not gone():
                time.sleep(0.01)
            self.gone.set()
            raise ClientGone
        return f"{source}>{target} {text}"


@pytest.fixture
def translator() -> FakeTranslator:
    return FakeTranslator()


@pytest.fixture
def port(translator: FakeTranslator) -> Iterator[int]:
    """The port of a running server without test models."""
    with ModelServer(Settings(port=0), translator, "127.0.0.1") as server:
        server.daemon_threads = False  # so that closing waits for the last line of the log
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ask(port: int, method: str, path: str, body: object = None) -> tuple[HTTPResponse, str]:
    """Send ``body`` (bytes as they are, all else as JSON) and read the whole answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, data)
        response = connection.getresponse()
        return response, response.read().decode()
    finally:
        connection.close()


def chat(port: int, text: str = TEXT, **fields: Any) -> tuple[HTTPResponse, list[dict[str, Any]]]:
    """The answer's objects, one for each line."""
    messages = [TO_SPANISH, {"role": "user", "content": text}]
    response, body = ask(port, "POST", "/api/chat", {"model": "apertium", "messages": messages} | fields)
    return response, [json.loads(line) for line in body.splitlines()]


def test_the_front_page_says_what_it_is(port: int) -> None:
    assert ask(port, "GET", "/")[1] == "Tandem's offline model is running"
    response, body = ask(port, "HEAD", "/")
    assert (response.status, body) == (200, "")


def test_the_health_check_asks_for_the_version(port: int) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\+apertium", json.loads(ask(port, "GET", "/api/version")[1])["version"])
    assert healthy(port)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()[1]
    assert not healthy(closed)


def test_only_the_honest_model_is_listed(port: int) -> None:
    models = json.loads(ask(port, "GET", "/api/tags")[1])["models"]
    assert [model["name"] for model in models] == ["apertium:latest"]
    assert models[0]["details"]["family"] == "apertium"


def test_show_says_that_it_is_no_neural_model(port: int) -> None:
    shown = json.loads(ask(port, "POST", "/api/show", {"model": "apertium"})[1])
    assert "not a neural model" in shown["modelfile"]
    assert shown["capabilities"] == ["completion"]


def test_a_streamed_answer_is_ndjson_word_by_word_and_loses_nothing(port: int) -> None:
    response, lines = chat(port)
    assert response.getheader("Content-Type") == "application/x-ndjson"
    assert "".join(line["message"]["content"] for line in lines) == TRANSLATION
    assert [line["message"]["content"] for line in lines] == ["en>es", "   The", " house", "\nis", " {big}.\n\n ", ""]
    assert [line["done"] for line in lines] == [False] * 5 + [True]
    assert {line["message"]["role"] for line in lines} == {"assistant"}


def test_the_last_object_carries_the_measures(port: int) -> None:
    last = chat(port)[1][-1]
    assert last["done_reason"] == "stop"
    assert (last["prompt_eval_count"], last["eval_count"]) == (11, 5)
    parts = last["load_duration"] + last["prompt_eval_duration"] + last["eval_duration"]
    assert 0 < parts == last["total_duration"] < 10 * 10**9
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", last["created_at"])


def test_without_streaming_one_object_has_it_all(port: int) -> None:
    response, lines = chat(port, stream=False, model="apertium:latest")
    assert response.getheader("Content-Type") == "application/json; charset=utf-8"
    assert len(lines) == 1
    assert lines[0]["message"] == {"role": "assistant", "content": TRANSLATION}
    assert (lines[0]["model"], lines[0]["done"], lines[0]["done_reason"]) == ("apertium:latest", True, "stop")


def test_an_empty_text_stays_empty(port: int) -> None:
    assert chat(port, " \n", stream=False)[1][0]["message"]["content"] == " \n"


def test_half_a_surrogate_pair_does_no_harm(port: int) -> None:
    assert chat(port, "\ud83d", stream=False)[1][0]["message"]["content"] == "en>es \N{REPLACEMENT CHARACTER}"


def test_a_preload_answers_at_once_and_shows_in_ps(port: int) -> None:
    assert json.loads(ask(port, "GET", "/api/ps")[1]) == {"models": []}
    loaded = chat(port, messages=[], options={"num_ctx": 2048})[1][0]
    assert (loaded["done"], loaded["done_reason"], loaded["message"]["content"]) == (True, "load", "")
    assert json.loads(ask(port, "GET", "/api/ps")[1])["models"][0]["context_length"] == 2048
    assert chat(port, messages=[], keep_alive=0)[1][0]["done_reason"] == "unload"


def test_a_long_answer_is_cut_at_num_predict(port: int) -> None:
    lines = chat(port, options={"num_predict": 2})[1]
    assert "".join(line["message"]["content"] for line in lines) == "en>es   The"
    assert lines[-1]["done_reason"] == "length"
    assert chat(port, options={"num_predict": 5})[1][-1]["done_reason"] == "stop"


def test_a_prompt_beyond_the_context_is_refused_only_without_truncation(port: int) -> None:
    response, lines = chat(port, truncate=False, options={"num_ctx": 20})
    assert response.status == 400
    error = "request (22 tokens) exceeds the available context size (20 tokens), try increasing it"
    assert lines == [{"error": error}]
    assert chat(port, truncate=False, options={"num_ctx": 22})[0].status == 200
    assert chat(port, options={"num_ctx": 20})[0].status == 200


def test_a_failed_translation_is_a_500(port: int) -> None:
    response, lines = chat(port, "break")
    assert response.status == 500
    assert lines == [{"error": "apertium process has terminated: exit status 1"}]


def test_pull_reports_progress_and_success(port: int) -> None:
    response, body = ask(port, "POST", "/api/pull", {"model": "apertium"})
    lines = [json.loads(line) for line in body.splitlines()]
    assert response.getheader("Content-Type") == "application/x-ndjson"
    assert lines[1].keys() == {"status", "digest", "total", "completed"}
    assert lines[-1] == {"status": "success"}
    whole = ask(port, "POST", "/api/pull", {"name": "apertium", "stream": False})[1]
    assert json.loads(whole) == {"status": "success"}


def test_pull_of_an_unknown_model_ends_with_an_error_line(port: int) -> None:
    error = {"error": "pull model manifest: file does not exist"}
    response, body = ask(port, "POST", "/api/pull", {"model": "gemma3:4b"})
    assert response.status == 200
    assert json.loads(body.splitlines()[-1]) == error
    response, body = ask(port, "POST", "/api/pull", {"model": "gemma3:4b", "stream": False})
    assert (response.status, json.loads(body)) == (500, error)


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/api/chat", b"", 400, "missing request body"),
        ("/api/chat", b"{", 400, "invalid JSON"),
        ("/api/chat", b"[" * 100_000, 400, "invalid JSON"),
        ("/api/chat", b'{"model": NaN}', 400, "NaN is not JSON"),
        ("/api/chat", b"\xff", 400, "invalid JSON"),
        ("/api/chat", [], 400, "must be an object"),
        ("/api/chat", {}, 400, "model is required"),
        ("/api/chat", {"model": 1}, 400, "cannot unmarshal number into field model"),
        ("/api/chat", {"model": "apertium", "messages": "x"}, 400, "cannot unmarshal string"),
        ("/api/chat", {"model": "apertium", "stream": "no"}, 400, "cannot unmarshal string"),
        ("/api/chat", {"model": "apertium", "options": {"num_ctx": "1"}}, 500, "must be of type integer"),
        ("/api/chat", b'{"model": "apertium", "options": {"num_ctx": 1e999}}', 500, "must be of type integer"),
        ("/api/chat", {"model": "x"}, 404, "model 'x' not found"),
        ("/api/chat", {"model": "apertium-echo"}, 404, "model 'apertium-echo' not found"),
        ("/api/chat", {"model": "apertium:7b"}, 404, "model 'apertium:7b' not found"),
        ("/api/show", {"model": "x"}, 404, "model 'x' not found"),
        ("/api/chat", b" " * (4 * 1024 * 1024 + 1), 413, "larger than"),
    ],
)
def test_a_bad_request_gets_ollamas_kind_of_error(port: int, path: str, body: object, status: int, error: str) -> None:
    response, answer = ask(port, "POST", path, body)
    assert response.status == status
    assert error in json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/test/calls", 404), ("GET", "/api/chat", 405), ("PUT", "/api/tags", 405)],
)
def test_unknown_paths_and_methods_are_distinguished(port: int, method: str, path: str, status: int) -> None:
    assert ask(port, method, path)[0].status == status


def test_a_connection_serves_several_requests(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    for path in ("/api/tags", "/nothing", "/api/version"):
        connection.request("GET", path)
        connection.getresponse().read()
        kept = connection.sock
        assert kept is not None
    connection.close()


def test_a_client_that_leaves_ends_its_work_without_a_traceback(
    port: int, translator: FakeTranslator, capfd: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"model": "apertium", "messages": [TO_SPANISH, {"role": "user", "content": "hang"}]})
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(f"POST /api/chat HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert translator.hanging.wait(5)
    client.close()
    assert translator.gone.wait(5)
    assert log_lines(capfd, 1)[0].startswith("POST /api/chat 499 ")
    assert capfd.readouterr().err == ""


def log_lines(capfd: pytest.CaptureFixture[str], count: int) -> list[str]:
    """The log, once it has ``count`` lines: they are written after the client has its answer."""
    log = ""
    deadline = time.monotonic() + 5
    while log.count("\n") < count and time.monotonic() < deadline:
        time.sleep(0.01)
        output = capfd.readouterr()
        assert output.err == ""
        log += output.out
    return log.splitlines()


def test_each_request_is_one_line_of_the_log(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    ask(port, "GET", "/api/tags")
    chat(port)
    chat(port, model="x")
    lines = sorted(log_lines(capfd, 3))
    assert re.fullmatch(r"GET /api/tags 200 \d+ ms", lines[0])
    assert re.fullmatch(r"POST /api/chat 200 \d+ ms apertium", lines[1])
    assert re.fullmatch(r"POST /api/chat 404 \d+ ms x model 'x' not found", lines[2])


def test_sigterm_ends_the_server_within_a_second_although_a_client_waits() -> None:
    env = {"PATH": os.environ["PATH"], "MODEL_PORT": "0", "MODEL_TEST_MODELS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "app.translation.model"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(" ")[2])
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        messages = [TO_SPANISH, {"role": "user", "content": "text"}]
        connection.request("POST", "/api/chat", json.dumps({"model": "apertium-slow", "messages": messages}))
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert time.monotonic() - started < 1
        connection.close()
    finally:
        server.kill()
        server.communicate()
