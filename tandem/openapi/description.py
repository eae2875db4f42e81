"""Helpers with which a workload describes its routes in OpenAPI 3.1: plain dictionaries, with schemas of pydantic.

from tandem.openapi.description import Api, answer, operation, problem

Api(
    paths={"/counts/{id}": {"get": operation("readCount", "Look at a count", {200: answer("It.", Count)})}},
    models=(Count,),
)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]

PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Api:
    """A workload's part of the document.

    paths: OpenAPI's path items by path. models: the models that `schema` refers to. tags: headings, each with a
    sentence. schemas: changes of the models' schemas that depend on the settings, such as limits.
    """

    paths: Mapping[str, Json]
    models: Sequence[type[BaseModel]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, Json] = field(default_factory=dict)


class Problem(BaseModel):
    """An error in the format of RFC 9457. `type` is left out, which means about:blank."""

    title: str
    status: int
    detail: str


def schema(model: type[BaseModel]) -> Json:
    """Return a reference to the model's schema."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def operation(
    name: str,
    summary: str,
    answers: Mapping[int, Json],
    *,
    description: str = "",
    tag: str = "",
    parameters: Sequence[Json] = (),
    body: Json | None = None,
) -> Json:
    """Return an operation with its responses by status; the platform adds those that it can send itself."""
    made: Json = {"operationId": name, "summary": summary}
    if tag:
        made["tags"] = [tag]
    if description:
        made["description"] = description
    if parameters:
        made["parameters"] = list(parameters)
    if body:
        made["requestBody"] = body
    return made | {"responses": {str(status): answer for status, answer in answers.items()}}


def answer(
    sentence: str,
    model: type[BaseModel] | None = None,
    *,
    example: Any = None,
    headers: Mapping[str, Json] | None = None,
) -> Json:
    """Return a JSON response with the schema of `model`, or one without a body."""
    content = {"application/json": media(schema(model), example=example)} if model else {}
    return _answer(sentence, content, headers)


def text(sentence: str, media_type: str, *, example: str) -> Json:
    """Return a response that is not JSON."""
    return _answer(sentence, {media_type: media({"type": "string"}, example=example)}, None)


def problem(status: int, detail: str, *, headers: Mapping[str, Json] | None = None) -> Json:
    """Return a response with a problem document, with `detail` as its example."""
    title = HTTPStatus(status).phrase
    content = {PROBLEM: media(schema(Problem), example={"title": title, "status": status, "detail": detail})}
    return _answer(title, content, headers)


def media(of: Json, *, example: Any = None) -> Json:
    """Return a body of one content type."""
    return {"schema": of} | ({} if example is None else {"example": example})


def header(sentence: str, of: Json, *, example: Any = None) -> Json:
    """Return a header of a response."""
    return {"description": sentence, "required": True} | media(of, example=example)


def in_path(name: str, sentence: str, of: Json, *, example: Any = None) -> Json:
    """Return a parameter in the path."""
    return {"name": name, "in": "path", "required": True, "description": sentence} | media(of, example=example)


def in_query(name: str, sentence: str, of: Json, *, example: Any = None) -> Json:
    """Return an optional parameter of the query."""
    return {"name": name, "in": "query", "description": sentence} | media(of, example=example)


def in_header(name: str, sentence: str, of: Json, *, example: Any = None) -> Json:
    """Return an optional header of a request."""
    return {"name": name, "in": "header", "description": sentence} | media(of, example=example)


def _answer(sentence: str, content: Json, headers: Mapping[str, Json] | None) -> Json:
    made: Json = {"description": sentence}
    if headers:
        made["headers"] = dict(headers)
    if content:
        made["content"] = content
    return made
