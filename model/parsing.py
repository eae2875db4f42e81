"""Reads the JSON of a request as strictly as Ollama does."""

import json
import math
from dataclasses import dataclass
from typing import Any, TypeVar

from model.errors import ApiError
from model.prompt import Message

DEFAULT_NUM_CTX = 4096
UNLIMITED = -1

T = TypeVar("T")


@dataclass(frozen=True)
class ChatRequest:
    """The fields of ``POST /api/chat`` that this server honours; it ignores the others.

    num_ctx: the context in tokens. num_predict: the longest answer in words, all of it when not positive.
    unload: the call asks, with no messages and ``keep_alive: 0``, to free the model.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool
    truncate: bool
    unload: bool
    num_ctx: int
    num_predict: int


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
    """Ollama streams unless told otherwise. Raises ApiError 400 for a value that is not a boolean."""
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
    )


def _message(value: object) -> Message:
    message = _typed(value, dict, "messages")
    role = _typed(message.get("role"), str, "messages.role", "")
    content = _typed(message.get("content"), str, "messages.content", "")
    # Half of a surrogate pair cannot be sent on as UTF-8; Go's JSON reader replaces it too.
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
