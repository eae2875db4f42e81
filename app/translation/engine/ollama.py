"""A thin client of Ollama's native API (https://github.com/ollama/ollama/blob/main/docs/api.md).

The options that it sends keep a wrong answer from looking right (`truncate` and `shift` off, a bounded answer, always
the same context length), and it accepts only an answer that is marked as complete.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx

from app.translation.documents.splitter import tokens
from app.translation.engine.pull import Layers, Pull
from app.translation.measures import measured
from tandem import ExpectedError, PermanentError, fields

CONNECT_TIMEOUT = 5.0
WRITE_TIMEOUT = 30.0
CHECK_TIMEOUT = 2.0
# The capability in /api/show of a model that can chat.
CHAT = "completion"
MAX_LINE = 1_048_576

# A translation may have many more tokens than its source (scripts differ); above this factor the model has run away.
ANSWER_FACTOR = 4
ANSWER_MIN_TOKENS = 256

_BUSY_STATUS = {429, 502, 503, 504}
# Most errors with status 500 are temporary; these are not.
_FINAL = re.compile(
    r"must be of type|invalid option|invalid format|invalid json schema|unknown model architecture|"
    r"unsupported model|does not support",
    re.IGNORECASE,
)
# Errors with status 500 because the model is not loaded yet or memory is short: not caused by the text.
_NOT_LOADED = re.compile(
    r"during startup|timed out waiting for|no slots available|error starting|server not responding|health resp|"
    r"unexpected server status|connection refused|requires more system memory|loading model",
    re.IGNORECASE,
)
# Errors about a prompt that is too long for the context, from Ollama itself and from its engine.
_TOO_LONG = re.compile(r"exceeds?\b.*\bcontext|input (is|was) too long|prompt (is )?too long", re.IGNORECASE)
# Permanent errors of a pull: no such model, no access to it, or a server that is too old for it.
_PULL_IS_FINAL = re.compile(
    r"file does not exist|invalid model name|newer version of ollama|unauthorized|access denied|\b40[13]\b",
    re.IGNORECASE,
)
# After this many equal tokens Ollama ends a stream, with or without an error.
REPEATED_TOKENS = 25
_REPETITION_ERROR = re.compile(r"token repeat limit", re.IGNORECASE)
# The name of the container's host in compose.yaml, and the likely reason why nothing listens there.
_DOCKER_HOST = "host.docker.internal"
_LISTENS_ON_LOOPBACK = (
    "; an Ollama on the host listens on 127.0.0.1 only: start it with OLLAMA_HOST=0.0.0.0, so that containers reach it"
)
# Each retry gets a higher temperature, so that its answer differs from the previous ones.
TEMPERATURE_STEP = 0.3


class OllamaError(ExpectedError):
    """Ollama did not translate; a later attempt may succeed. The message is shown to the client."""


class Unavailable(OllamaError):
    """Ollama is unreachable, busy, or has not loaded the model: every request has to wait."""


class NoAnswer(Unavailable):
    """No byte arrived: the model is being loaded, other requests are served first, or the server hangs."""


class OllamaRefused(OllamaError, PermanentError):
    """Ollama refuses this request permanently."""


#: The kinds of a BadAnswer: it reached the limit of tokens, it broke off, or it repeated the same token.
TRUNCATED = "truncated"
UNFINISHED = "unfinished"
LOOP = "loop"


class ModelMissing(OllamaRefused):
    """Ollama does not have this model."""


class TooLong(OllamaRefused):
    """The prompt does not fit into the context; a shorter text may."""


class BadAnswer(OllamaError):
    """The model's answer is incomplete. kind: the name of the problem; answer: the part that arrived."""

    def __init__(self, kind: str, text: str, answer: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.answer = answer


class Cancelled(Exception):
    """The client closed the call because its answer is no longer needed."""


class Call:
    """A running call, for other threads: how much was answered, and a way to end it.

    wait: seconds to wait for the first byte, if not the timeout of any other silence. characters: received in the
    current attempt. answered: whether its first byte has arrived. began: when it was sent, by time.monotonic, and
    first_token_at: when the answer began. tokens_in, tokens_out: as the model has counted them at the end.
    """

    def __init__(self, *, wait: float | None = None) -> None:
        self.wait = wait
        self.characters = 0
        self.answered = False
        self.began = time.monotonic()
        self.first_token_at = 0.0
        self.tokens_in = self.tokens_out = 0
        self.was_cancelled = False
        self.was_silent = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def begin(self) -> None:
        """Begin a new attempt."""
        self.characters, self.answered, self.began = 0, False, time.monotonic()
        self.first_token_at, self.tokens_in, self.tokens_out = 0.0, 0, 0

    def cancel(self) -> None:
        """Close the connection, which makes Ollama stop even if it has not sent a byte yet."""
        with self._lock:
            self.was_cancelled = True
            if self._socket:
                _shut_down(self._socket)

    def give_up(self) -> None:
        """Close the connection because Ollama was silent for too long."""
        with self._lock:
            self.was_silent = True
            if self._socket:
                _shut_down(self._socket)

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Receive from httpx the connection that it has opened."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self.was_cancelled and self._socket:
                    _shut_down(self._socket)


def _shut_down(connection: socket.socket) -> None:
    try:
        # The plain socket's method, even for TLS: it wakes the reading thread and keeps the TLS state intact.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:  # the connection is closed already
        return


class Ollama:
    """A client of the server at `url`. timeout: the longest silence of one call from the request on, in seconds."""

    def __init__(self, url: str, *, timeout: float, num_ctx: int, transport: httpx.BaseTransport | None = None) -> None:
        self._name = fields.without_credentials(url)
        self.num_ctx = num_ctx
        self._timeout = timeout
        # The first byte arrives after queueing, loading the model and reading the prompt. Each call has its own
        # connection, because closing it is the way to end the call.
        self._http = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT),
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=transport,
            trust_env=False,
            # Redirects are not followed, so http stays http: reading the certificates of all authorities would take
            # 18 ms and 5 MB for nothing.
            verify=True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    def chat(
        self,
        model: str,
        messages: list[dict[str, str]],
        *,
        call: Call | None = None,
        retries: int = 0,
    ) -> str:
        """Return the model's complete answer unchanged.

        retries: how many times the same was asked before. Raises Unavailable (wait), BadAnswer (ask again, perhaps
        immediately), another OllamaError (try again), OllamaRefused (do not try again) or Cancelled.
        """
        limit = answer_limit(messages[-1]["content"])
        body = self._request(model, messages, num_predict=limit, retries=retries) | {"stream": True}
        call = call or Call()
        with measured(model, call):
            return self._call(body, call)

    def load(self, model: str, *, call: Call | None = None) -> None:
        """Load the model with the options that `chat` uses. Raises Unavailable, OllamaRefused or Cancelled.

        With other options, Ollama would start the model twice and block all other requests meanwhile.
        """
        body = self._request(model, [], num_predict=ANSWER_MIN_TOKENS) | {"stream": False}
        try:
            self._call(body, call or Call())
        except (Unavailable, OllamaRefused):
            raise
        except OllamaError as error:  # no text can be the cause
            raise Unavailable(str(error)) from error

    def _request(
        self, model: str, messages: list[dict[str, str]], *, num_predict: int, retries: int = 0
    ) -> dict[str, Any]:
        """Return the request without `stream`; all requests have the same launch options."""
        return {
            "model": model,
            "messages": messages,
            "think": False,
            "truncate": False,
            "shift": False,
            "options": {
                "num_ctx": self.num_ctx,
                "num_predict": num_predict,
                "temperature": TEMPERATURE_STEP * retries,
                "seed": 1 + retries,
            },
        }

    def _call(self, body: dict[str, Any], call: Call) -> str:
        call.begin()
        try:
            return self._answer(body, call)
        except (httpx.HTTPError, BadAnswer) as error:
            # A connection closed by this client can look like the end of an answer.
            if call.was_cancelled:
                raise Cancelled from error
            if call.was_silent:
                raise self._no_answer() from error
            if isinstance(error, BadAnswer):
                raise
            raise self._classify(error, call) from error

    def _answer(self, body: dict[str, Any], call: Call) -> str:
        # httpcore reads the timeout again for each part of the answer.
        limits = {**self._http.timeout.as_dict(), "read": call.wait or self._timeout}
        extensions = {"trace": call.trace, "timeout": limits}
        with self._http.stream("POST", "/api/chat", json=body, extensions=extensions) as response:
            call.answered = True
            limits["read"] = self._timeout
            self._check(response)
            pieces: list[str] = []
            try:
                for piece in _contents(_lines(response), call):
                    call.first_token_at = call.first_token_at or (time.monotonic() if piece else 0.0)
                    pieces.append(piece)
                    call.characters += len(piece)
            except BadAnswer as error:
                raise _classified(error, pieces) from error
            return "".join(pieces)

    def _check(self, response: httpx.Response) -> None:
        """Raise the error of a status other than 2xx."""
        if response.is_success:
            return
        response.read()
        reason, status = _error_text(response.text), response.status_code
        if status in _BUSY_STATUS or (status == 500 and _NOT_LOADED.search(reason)):
            raise Unavailable(f"Ollama is not ready ({status}): {reason}")
        if status == 500 and not _FINAL.search(reason):
            raise OllamaError(f"Ollama is not ready ({status}): {reason}")
        if status == 400 and _TOO_LONG.search(reason):
            raise TooLong(
                f"the text does not fit into OLLAMA_NUM_CTX={self.num_ctx} or the model's training context: {reason}"
            )
        refused = ModelMissing if status == 404 else OllamaRefused
        raise refused(f"Ollama refused ({status}): {reason}")

    def _no_answer(self) -> NoAnswer:
        return NoAnswer(f"Ollama at {self._name} was silent for too long: it did not begin to answer")

    def _classify(self, error: httpx.HTTPError, call: Call) -> OllamaError:
        if isinstance(error, httpx.ReadTimeout) and not call.answered:
            return self._no_answer()
        return self._connection_error(error)

    def _connection_error(self, error: httpx.HTTPError) -> OllamaError:
        kind = Unavailable if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)) else OllamaError
        if isinstance(error, httpx.TimeoutException):
            return kind(f"Ollama at {self._name} was silent for too long ({type(error).__name__})")
        return kind(f"Ollama at {self._name} cannot be reached or hung up: {error}{self._hint(error)}")

    def _hint(self, error: Exception) -> str:
        on_host = self._http.base_url.host == _DOCKER_HOST
        return _LISTENS_ON_LOOPBACK if on_host and isinstance(error, httpx.ConnectError) else ""

    def pull(self, model: str) -> Iterator[Pull]:
        """Pull a model on the server and yield the progress until it is complete. A new pull resumes the last one.

        Raises OllamaError, also if the pull stalls, and OllamaRefused if it cannot succeed.
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
            raise self._connection_error(error) from error

    def models(self) -> set[str]:
        """Return the names of the server's models, with tags. Raises OllamaError."""
        try:
            response = self._http.get("/api/tags", timeout=CHECK_TIMEOUT)
            response.raise_for_status()
            return {entry["name"] for entry in response.json()["models"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"Ollama at {self._name} failed to list its models: {error}{self._hint(error)}"
            ) from error

    def can_chat(self, model: str) -> bool:
        """Return whether a model on the server can chat; an embedding model cannot. Raises OllamaError.

        If the server does not report capabilities, assume that it can.
        """
        try:
            response = self._http.post("/api/show", json={"model": model}, timeout=CHECK_TIMEOUT)
            response.raise_for_status()
            capabilities = response.json().get("capabilities")
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise Unavailable(f"Ollama at {self._name} failed to describe the model {model}: {error}") from error
        return not isinstance(capabilities, list) or CHAT in capabilities


def answer_limit(text: str) -> int:
    """Return the maximum tokens of an answer to `text`, for the option `num_predict`."""
    return max(ANSWER_MIN_TOKENS, ANSWER_FACTOR * tokens(text))


def _error_text(body: str) -> str:
    """Extract the reason from an error's body; one kind nests a second JSON document in a string of the first."""
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
            raise OllamaError("Ollama sent a line that is not a JSON object")
        yield value


def _split(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Split NDJSON into lines at line feeds only. httpx uses str.splitlines, which splits at ten more characters."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE:
            raise OllamaError(f"Ollama sent a line longer than {MAX_LINE:,} bytes")
    yield rest


def _contents(lines: Iterator[dict[str, Any]], call: Call) -> Iterator[str]:
    """Yield the pieces of the answer, and note its tokens in the call.

    Raises BadAnswer unless the stream ends with `done` and an expected reason.
    """
    for line in lines:
        if "error" in line:
            raise BadAnswer(UNFINISHED, f"the model broke off: {_error_text(json.dumps(line))}")
        yield str((line.get("message") or {}).get("content") or "")
        if line.get("done"):
            call.tokens_in, call.tokens_out = (_count(line, name) for name in ("prompt_eval_count", "eval_count"))
            if line.get("done_reason") in ("stop", "load"):
                return
            if line.get("done_reason") == "length":
                raise BadAnswer(TRUNCATED, "the answer was cut because it grew over the limit of tokens or context")
            raise BadAnswer(UNFINISHED, f"the model ended with the reason {line.get('done_reason')!r}")
    raise BadAnswer(UNFINISHED, "the answer ended in the middle")


def _count(line: dict[str, Any], name: str) -> int:
    """Return a number of tokens; 0 from a server that does not count them."""
    count = line.get(name)
    return count if isinstance(count, int) and count > 0 else 0


def _classified(error: BadAnswer, pieces: list[str]) -> BadAnswer:
    """Return the error with the pieces before it; a model that repeated one token gets the kind of a repetition."""
    last = [piece.strip() for piece in pieces[-REPEATED_TOKENS:]]
    repeats = len(last) == REPEATED_TOKENS and len(set(last)) == 1
    if error.kind == UNFINISHED and (repeats or _REPETITION_ERROR.search(str(error))):
        return BadAnswer(LOOP, "the model repeated the same token again and again", "".join(pieces))
    return BadAnswer(error.kind, str(error), "".join(pieces))


def _until_success(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the lines of a pull. Raises OllamaError unless the last one reports success."""
    for line in lines:
        if "error" in line:
            raise _pull_error(json.dumps(line))
        yield line
        if line.get("status") == "success":
            return
    raise OllamaError("the pull ended before it was complete")


def _pull_error(body: str) -> OllamaError:
    reason = _error_text(body)
    return (OllamaRefused if _PULL_IS_FINAL.search(reason) else OllamaError)(f"the pull broke off: {reason}")
