"""Parse the JSON of a request as strictly as Ollama does."""

import json
import math
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import ApiError
from .prompt import Message

DEFAULT_NUM_CTX = 4096
UNLIMITED = -1
# Options with which a model is started; beside them `shift` is one, since Ollama 0.30.
LAUNCH_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap")

T = TypeVar("T")


@dataclass(frozen=True)
class ChatRequest:
    """The fields of ``POST /api/chat`` that this server honours; it ignores the others.

    num_ctx: the context in tokens. num_predict: the longest answer in words, all of it when not positive.
    launch: the options with which the model has to be started, in the order of their names.
    unload: the call asks, with no messages and ``keep_alive: 0``, to free the model.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool
    truncate: bool
    unload: bool
    num_ctx: int
    num_predict: int
    launch: tuple[tuple[str, object], ...] = ()


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``. Raises ApiError 400."""
    if not body.strip():
        raise ApiError(400, "missing request body")
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError(400, "json: the request must be an object")
    return value


def model_name(request: dict[str, Any]) -> str:
    """The model asked for; older clients call the field ``name``. Raises ApiError 400 when it is missing."""
    name = request.get("model") or request.get("name")
    if not name:
        raise ApiError(400, "model is required")
    return _typed(name, str, "model")


def wants_stream(request: dict[str, Any]) -> bool:
    """Return whether to stream, which is Ollama's default. Raises ApiError 400 for a value that is not a boolean."""
    return _typed(request.get("stream"), bool, "stream", True)


def chat_request(request: dict[str, Any]) -> ChatRequest:
    """Check the fields of a chat. Raises ApiError 400, and for a bad option 500, as Ollama does."""
    options = _typed(request.get("options"), dict, "options", {})
    messages = _typed(request.get("messages"), list, "messages", [])
    return ChatRequest(
        model=model_name(request),
        messages=tuple(_message(message) for message in messages),
        stream=wants_stream(request),
        truncate=_typed(request.get("truncate"), bool, "truncate", True),
        unload=not messages and request.get("keep_alive") in (0, "0", "0s"),
        num_ctx=_option(options, "num_ctx", DEFAULT_NUM_CTX),
        num_predict=_option(options, "num_predict", UNLIMITED),
        launch=_launch(options, _typed(request.get("shift"), bool, "shift", True)),
    )


def _launch(options: dict[str, Any], shift: bool) -> tuple[tuple[str, object], ...]:
    given = {name: options[name] for name in LAUNCH_OPTIONS if options.get(name) is not None}
    return tuple(sorted({"num_ctx": DEFAULT_NUM_CTX, "shift": shift, **given}.items()))


def _message(value: object) -> Message:
    message = _typed(value, dict, "messages")
    role = _typed(message.get("role"), str, "messages.role", "")
    content = _typed(message.get("content"), str, "messages.content", "")
    # An unpaired surrogate cannot be encoded as UTF-8; Go's JSON decoder replaces it too.
    return Message(role, content.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _typed(value: Any, kind: type[T], field: str, default: T | None = None) -> T:
    if value is None and default is not None:
        return default
    if not isinstance(value, kind):
        raise ApiError(400, f"json: cannot unmarshal {_kind(value)} into field {field}")
    return value


def _kind(value: object) -> str:
    kinds = {bool: "bool", str: "string", dict: "object", list: "array", type(None): "null"}
    return kinds.get(type(value), "number")


def _option(options: dict[str, Any], name: str, default: int) -> int:
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ApiError(500, f'option "{name}" must be of type integer')
    return int(value)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
