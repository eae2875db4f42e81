"""A thin client of Ollama's native API (https://github.com/ollama/ollama/blob/main/docs/api.md).

It sends what keeps a wrong answer from looking right (`truncate` and `shift` off, a bounded answer, the same
context length always) and takes only an answer that says of itself that it is complete.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx

from app.queueing.errors import ExpectedError, PermanentError
from app.settings import without_credentials
from app.translation.documents.cuts import tokens
from app.translation.engine.pull import Layers, Pull

CONNECT_TIMEOUT = 5.0
WRITE_TIMEOUT = 30.0
LOOK_TIMEOUT = 2.0
MAX_LINE = 1_048_576

# A translation may be much longer in tokens than its source (scripts differ); beyond this it is a runaway.
ANSWER_FACTOR = 4
ANSWER_MIN_TOKENS = 256

_TRY_AGAIN_STATUS = {429, 502, 503, 504}
# The kinds of 500 that a new try can mend: the process behind the model died or did not come up in time.
_CRASHED = re.compile(r"terminated|unexpectedly stopped|timed out waiting|runner|server process", re.IGNORECASE)
# What Ollama says when there is no such model to be pulled.
_NO_SUCH_MODEL = re.compile(r"file does not exist|invalid model name", re.IGNORECASE)
# The first answer is the likeliest one; one that has to be asked for again should differ.
WARMER_BY = 0.3


class OllamaError(ExpectedError):
    """Ollama did not translate; a later try may succeed. The text is for the person who waits."""


class OllamaRefused(OllamaError, PermanentError):
    """Ollama will never translate this request as it is."""


#: The kinds of a BadAnswer: it came to the limit of tokens, or it broke off.
TRUNCATED = "truncated"
UNFINISHED = "unfinished"


class ModelMissing(OllamaRefused):
    """Ollama does not have this model."""


class BadAnswer(OllamaError):
    """The model answered, but not to the end. kind: the name of the problem, TRUNCATED or UNFINISHED."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Cut(Exception):
    """The call was closed from our side, because its answer is not wanted any more."""


class Call:
    """A running call, as another thread sees it: how much was answered, and how to end it."""

    def __init__(self) -> None:
        self.characters = 0
        self.was_cut = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def cut(self) -> None:
        """Closes the connection, which is what makes Ollama stop, also while it has not sent a byte yet."""
        with self._lock:
            self.was_cut = True
            if self._socket:
                _hang_up(self._socket)

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hears from httpx of the connection that it has opened."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self.was_cut and self._socket:
                    _hang_up(self._socket)


def _hang_up(connection: socket.socket) -> None:
    try:
        # The plain one, also for TLS: it wakes the thread that reads, and takes nothing away under it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return


class Ollama:
    """Talks to the server at `url`. `timeout` (seconds) bounds the silence of one call, from the request on."""

    def __init__(self, url: str, *, timeout: float, num_ctx: int, transport: httpx.BaseTransport | None = None) -> None:
        self._name = without_credentials(url)
        self.num_ctx = num_ctx
        self._timeout = timeout
        # The first byte comes after waiting for a place, loading the model and reading the prompt. Each call has a
        # connection of its own, because that is closed to end the call.
        self._http = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT),
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=transport,
            trust_env=False,
        )

    def chat(self, model: str, messages: list[dict[str, str]], *, call: Call | None = None, again: int = 0) -> str:
        """The model's complete answer as it is.

        again: how often the same was asked before. Raises OllamaError (try again, BadAnswer: perhaps at once),
        OllamaRefused (do not) or Cut.
        """
        body = {
            "model": model,
            "messages": messages,
            "stream": True,
            "think": False,
            "truncate": False,
            "shift": False,
            "options": self._options(answer_limit(messages[-1]["content"]), again),
        }
        call = call or Call()
        try:
            return self._answer(body, call)
        except httpx.HTTPError as error:
            if call.was_cut:
                raise Cut from error
            raise self._away(error) from error
        except BadAnswer as error:
            # A connection that is closed from our side can look like an answer's end.
            if call.was_cut:
                raise Cut from error
            raise

    def _answer(self, body: dict[str, Any], call: Call) -> str:
        with self._http.stream("POST", "/api/chat", json=body, extensions={"trace": call.trace}) as response:
            _raise_for_status(response)
            pieces = []
            for piece in _contents(_lines(response)):
                pieces.append(piece)
                call.characters += len(piece)
            return "".join(pieces)

    def load(self, model: str) -> None:
        """Returns when the model is in memory as `chat` wants it. Raises OllamaError."""
        body = {"model": model, "messages": [], "stream": False, "options": self._options(ANSWER_MIN_TOKENS)}
        try:
            _raise_for_status(self._http.post("/api/chat", json=body))
        except httpx.HTTPError as error:
            raise self._away(error) from error

    def pull(self, model: str) -> Iterator[Pull]:
        """Has the server fetch a model, and tells how far it is until it is there. A new try goes on where it was.

        Raises OllamaError, also when nothing comes any more, and OllamaRefused.
        """
        layers = Layers(model)
        try:
            with self._http.stream("POST", "/api/pull", json={"model": model, "stream": True}) as response:
                if not response.is_success:
                    response.read()
                    raise _pull_error(response.text)
                for line in _until_success(_lines(response)):
                    yield layers.add(line)
                    if layers.unchanged_seconds > self._timeout:
                        raise OllamaError(f"the pull of {model} has stalled at {layers.pull.percent} %")
        except httpx.HTTPError as error:
            raise self._away(error) from error

    def _options(self, num_predict: int, again: int = 0) -> dict[str, float]:
        return {
            "num_ctx": self.num_ctx,
            "num_predict": num_predict,
            "temperature": WARMER_BY * again,
            "seed": 1 + again,
        }

    def _away(self, error: httpx.HTTPError) -> OllamaError:
        if isinstance(error, httpx.TimeoutException):
            return OllamaError(f"Ollama at {self._name} was silent for too long ({type(error).__name__})")
        return OllamaError(f"Ollama at {self._name} cannot be reached or hung up: {error}")

    def models(self) -> set[str]:
        """The names of the models that the server has, tag included. Raises OllamaError."""
        try:
            response = self._http.get("/api/tags", timeout=LOOK_TIMEOUT)
            response.raise_for_status()
            return {entry["name"] for entry in response.json()["models"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise OllamaError(f"Ollama at {self._name} does not list its models: {error}") from error


def full_name(model: str) -> str:
    """The name as Ollama lists it: `x` is listed as `x:latest`."""
    return model if ":" in model.rsplit("/", 1)[-1] else f"{model}:latest"


def answer_limit(text: str) -> int:
    """How many tokens an answer to `text` may have: the option `num_predict`."""
    return max(ANSWER_MIN_TOKENS, ANSWER_FACTOR * tokens(text))


def _raise_for_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    response.read()
    reason = _error_text(response.text)
    status = response.status_code
    if status in _TRY_AGAIN_STATUS or (status == 500 and _CRASHED.search(reason)):
        raise OllamaError(f"Ollama is not ready ({status}): {reason}")
    refused = ModelMissing if status == 404 else OllamaRefused
    raise refused(f"Ollama refused ({status}): {reason}")


def _error_text(body: str) -> str:
    """The reason in an error's body; one kind nests a second JSON document in the first one's string."""
    for _ in range(3):
        try:
            value: Any = json.loads(body)
        except ValueError:
            break
        if isinstance(value, dict):
            value = value.get("error", value.get("message", body))
        if isinstance(value, dict):
            value = value.get("message", body)
        body = str(value)
    return " ".join(body.split())[:300] or "no reason given"


def _lines(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in _split(response.iter_bytes()):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise OllamaError("Ollama sent a line that is not JSON") from error
        if not isinstance(value, dict):
            raise OllamaError("Ollama sent a line that is no object")
        yield value


def _split(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines as NDJSON means them: only a line feed ends one. str.splitlines, which httpx uses, knows ten more ends."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE:
            raise OllamaError("Ollama sent a line without an end")
    yield rest


def _contents(lines: Iterator[dict[str, Any]]) -> Iterator[str]:
    """The pieces of the answer. Raises unless the stream ends with a `done` of the right reason."""
    for line in lines:
        if "error" in line:
            raise BadAnswer(UNFINISHED, f"the model broke off: {_error_text(json.dumps(line))}")
        yield str((line.get("message") or {}).get("content") or "")
        if line.get("done"):
            if line.get("done_reason") == "stop":
                return
            if line.get("done_reason") == "length":
                raise BadAnswer(TRUNCATED, "the answer was cut because it grew over the limit of tokens or context")
            raise BadAnswer(UNFINISHED, f"the model ended with the reason {line.get('done_reason')!r}")
    raise BadAnswer(UNFINISHED, "the answer ended in the middle")


def _until_success(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines of a pull. Raises unless they end with the one that says that the model is there."""
    for line in lines:
        if "error" in line:
            raise _pull_error(json.dumps(line))
        yield line
        if line.get("status") == "success":
            return
    raise OllamaError("the pull ended in the middle")


def _pull_error(body: str) -> OllamaError:
    reason = _error_text(body)
    return (OllamaRefused if _NO_SUCH_MODEL.search(reason) else OllamaError)(f"the pull broke off: {reason}")
