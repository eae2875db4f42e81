"""A thin client of Ollama's native API (https://github.com/ollama/ollama/blob/main/docs/api.md).

It sends what keeps a wrong answer from looking right (`truncate` and `shift` off, a bounded answer, the same
context length always) and takes only an answer that says of itself that it is complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx

from app.queueing.errors import ExpectedError, PermanentError
from app.settings import without_credentials
from app.translation.documents.chunks import tokens

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
_THINKING = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


class OllamaError(ExpectedError):
    """Ollama did not translate; a later try may succeed. The text is for the person who waits."""


class OllamaRefused(OllamaError, PermanentError):
    """Ollama will never translate this request as it is."""


class Ollama:
    """Talks to the server at `url`. `timeout` (seconds) bounds the silence of one call, from the request on."""

    def __init__(self, url: str, *, timeout: float, num_ctx: int, transport: httpx.BaseTransport | None = None) -> None:
        self._name = without_credentials(url)
        self.num_ctx = num_ctx
        # The first byte comes after waiting for a place, loading the model and reading the prompt.
        self._http = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT),
            transport=transport,
            trust_env=False,
        )

    def chat(self, model: str, messages: list[dict[str, str]]) -> str:
        """The model's complete answer, without a leading <think> block and surrounding white space.

        Raises OllamaError (try again) or OllamaRefused (do not).
        """
        body = {
            "model": model,
            "messages": messages,
            "stream": True,
            "think": False,
            "truncate": False,
            "shift": False,
            "options": {
                "num_ctx": self.num_ctx,
                "num_predict": answer_limit(messages[-1]["content"]),
                "temperature": 0,
                "seed": 1,
            },
        }
        try:
            with self._http.stream("POST", "/api/chat", json=body) as response:
                _raise_for_status(response)
                answer = "".join(_contents(_lines(response)))
        except httpx.TimeoutException as error:
            raise OllamaError(f"Ollama at {self._name} was silent for too long ({type(error).__name__})") from error
        except httpx.TransportError as error:
            raise OllamaError(f"Ollama at {self._name} cannot be reached or hung up: {error}") from error
        answer = _THINKING.sub("", answer).strip()
        if not answer:
            raise OllamaError(f"the model {model} gave an empty answer")
        return answer

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
    raise OllamaRefused(f"Ollama refused ({status}): {reason}")


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
            raise OllamaError(f"the model broke off: {_error_text(json.dumps(line))}")
        yield str((line.get("message") or {}).get("content") or "")
        if line.get("done"):
            if line.get("done_reason") == "stop":
                return
            if line.get("done_reason") == "length":
                raise OllamaRefused("the answer was cut because it grew over the limit of tokens or context")
            raise OllamaError(f"the model ended with the reason {line.get('done_reason')!r}")
    raise OllamaError("the answer ended in the middle")
