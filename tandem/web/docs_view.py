"""The OpenAPI document with its references resolved, in reading order, for the template of /docs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tandem.openapi.description import PROBLEM, Json

_METHODS = ("get", "post", "put", "patch", "delete")
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxProperties": "at most {} entries",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
    "default": "{} when left out",
}


@dataclass(frozen=True)
class Field:
    """A field of a body, or a parameter."""

    name: str
    kind: str
    required: bool
    about: str
    limits: tuple[str, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """One answer of an operation. `fields`: of its body, unless it is a problem document."""

    status: str
    sentence: str
    content_types: tuple[str, ...]
    headers: tuple[Field, ...]
    fields: tuple[Field, ...]
    example: str


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    tag: str
    needs_token: bool
    parameters: tuple[Field, ...]
    bodies: tuple[tuple[str, tuple[Field, ...]], ...]
    requests: tuple[str, ...]
    answers: tuple[Answer, ...]


def operations(document: Json, server: str) -> list[Operation]:
    """Return all operations in the document's order. `server`: base URL of requests, such as http://localhost:8000."""
    reader = _Reader(document, server)
    return [
        reader.operation(path, method, item)
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]


class _Reader:
    def __init__(self, document: Json, server: str) -> None:
        self._document = document
        self._server = server

    def operation(self, path: str, method: str, item: Json) -> Operation:
        described = item[method]
        parameters = [*item.get("parameters", ()), *described.get("parameters", ())]
        bodies: Json = described.get("requestBody", {}).get("content", {})
        return Operation(
            id=described["operationId"],
            method=method.upper(),
            path=path,
            summary=described["summary"],
            about=described.get("description", ""),
            tag=next(iter(described.get("tags", ())), ""),
            needs_token=bool(described.get("security")),
            parameters=tuple(self._field(p["name"], p["schema"], p.get("required", False), p) for p in parameters),
            bodies=tuple((kind, self._fields(media["schema"])) for kind, media in bodies.items()),
            requests=tuple(self._requests(path, method, described, parameters)),
            answers=tuple(self._answer(status, answer) for status, answer in described["responses"].items()),
        )

    def _answer(self, status: str, described: Json) -> Answer:
        content: Json = described.get("content", {})
        nothing: tuple[str, Json] = ("", {})
        kind, media = next(iter(content.items()), nothing)
        example = media.get("example")
        headers = described.get("headers", {}).items()
        return Answer(
            status=status,
            sentence=described["description"],
            content_types=tuple(content),
            headers=tuple(self._field(name, h["schema"], h.get("required", False), h) for name, h in headers),
            fields=() if kind == PROBLEM or not media else self._fields(media["schema"]),
            example="" if example is None else _shown(example),
        )

    def _requests(self, path: str, method: str, described: Json, parameters: list[Json]) -> Iterator[str]:
        """Yield a command for each kind of body."""
        for parameter in parameters:
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example", "…")))
        words = ["curl", *(["-X", method.upper()] if method not in ("get", "post") else [])]
        words.append(f"{self._server}{path}")
        if described.get("security"):
            words += ["-H", "Authorization: Bearer $API_TOKEN"]
        bodies: Json = described.get("requestBody", {}).get("content", {})
        for kind, media in bodies.items():
            yield _command([*words, *self._body(kind, media)])
        if not bodies:
            yield _command(words)

    def _body(self, kind: str, media: Json) -> list[str]:
        schema = self._resolved(media["schema"])
        example: Json = media.get("example") or next(iter(schema.get("examples", ())), {})
        if kind == "multipart/form-data":
            return [word for name, value in example.items() for word in ("-F", f"{name}={value}")]
        return ["-H", f"Content-Type: {kind}", "-d", json.dumps(example, ensure_ascii=False)]

    def _fields(self, schema: Json) -> tuple[Field, ...]:
        schema = self._resolved(schema)
        required = schema.get("required", ())
        properties: Json = schema.get("properties", {})
        return tuple(self._field(name, of, name in required, of) for name, of in properties.items())

    def _field(self, name: str, schema: Json, required: bool, described: Json) -> Field:
        parts = list(self._parts(schema))
        return Field(
            name=name,
            kind=" or ".join(dict.fromkeys(self._kind(part) for part in parts)),
            required=required,
            about=described.get("description", ""),
            limits=tuple(
                sentence.format(_number(part[key]))
                for part in parts
                for key, sentence in _LIMITS.items()
                if part.get(key) not in (None, {}, [])
            ),
            choices=tuple(str(choice) for part in parts for choice in part.get("enum", ())),
        )

    def _parts(self, schema: Json) -> Iterator[Json]:
        for part in schema.get("anyOf", (schema,)):
            resolved = self._resolved(part)
            yield resolved if part is not schema else {**resolved, **schema}

    def _kind(self, schema: Json) -> str:
        if schema.get("type") == "array":
            return f"list of {self._kind(self._resolved(schema['items']))}"
        title = schema.get("title", "")
        is_model = title in self._document["components"]["schemas"]
        return str(title if is_model else schema.get("format") or schema.get("type", "anything"))

    def _resolved(self, schema: Json) -> Json:
        name = schema.get("$ref", "").rpartition("/")[2]
        found: Json = self._document["components"]["schemas"][name] if name else schema
        return found


def _command(words: list[str]) -> str:
    return " ".join(f'"{word}"' if "$" in word else shlex.quote(word) for word in words)


def _shown(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, ensure_ascii=False, indent=2)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
