"""Arguments of an actor that come as JSON from outside, checked against its signature before they are sent.

A message that does not fit would only be refused by the worker, after all its retries.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

MAX_BYTES = 2**20
# What is shown of a value that is not allowed.
SHOWN_CHARACTERS = 60

_WORDS = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "an object",
    "none_required": "null",
    "missing": "a value",
}


class NotAllowed(Exception):
    """Arguments that the actor cannot be called with; the text says in one line what is wrong and what is allowed."""


def parse(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments of a JSON list or object. Raises NotAllowed."""
    try:
        size = len(text.encode())
        if size > MAX_BYTES:
            raise NotAllowed(f"the arguments have {size:,} bytes: at most {MAX_BYTES:,} are allowed")
        value = json.loads(text, parse_constant=_refuse)
        # 1e999 becomes an infinity without being called one, and an escape can be half a character.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise NotAllowed(f"{_shortened(text)} is not JSON: {error}") from None
    if isinstance(value, list):
        return value, {}
    if isinstance(value, dict):
        return [], value
    raise NotAllowed(f"{_shown(value)} is not allowed: a list of arguments is, or an object with their names")


def check(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    """Whether the function can be called so: names, count and types. Raises NotAllowed.

    A type is what JSON can say of it: a list for a tuple, a string for a date. What has no annotation takes anything.
    """
    signature = _signature(function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise NotAllowed(f"{error}: allowed is {declared(function) or 'nothing'}") from None
    for name, value, annotation in _typed(bound):
        if allowed := _wrong(value, annotation):
            raise NotAllowed(f"{name}: {_shown(value)} is not allowed: {allowed}")


def declared(function: Callable[..., Any]) -> str:
    """What a function takes, as it is written: `text: str, *, target: str = 'es'`."""
    signature = _signature(function).replace(return_annotation=inspect.Signature.empty)
    return str(signature)[1:-1].replace("typing.", "")


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:
        # Annotations can name what is only imported for the type checker, and fail in any way that code can.
        return inspect.signature(function)


def _typed(bound: inspect.BoundArguments) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and annotation of each argument; those of *args and **kwargs one by one."""
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{number}]", one, parameter.annotation) for number, one in enumerate(value))
        elif parameter.kind is parameter.VAR_KEYWORD:
            yield from ((key, one, parameter.annotation) for key, one in value.items())
        else:
            yield name, value, parameter.annotation


def _wrong(value: Any, annotation: Any) -> str:
    """What is allowed instead of the value, empty when it is allowed itself."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return ""
    try:
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return _sentence(error)
    except (PydanticUserError, PydanticUndefinedAnnotation):
        return ""  # a class that pydantic does not know
    return ""


def _sentence(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    allowed = dict.fromkeys(_WORDS.get(str(problem["type"])) or _of_message(problem["msg"]) for problem in problems)
    where = ".".join(map(str, problems[0]["loc"])) if len(problems) == 1 else ""
    return f"{' or '.join(list(allowed)[:5])} is{f' at {where}' if where else ''}"


def _of_message(text: str) -> str:
    return " ".join(text.removeprefix("Input should be ").split())


def _shown(value: Any) -> str:
    return _shortened(json.dumps(value))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _refuse(constant: str) -> None:
    raise ValueError(f"it has no {constant}")
