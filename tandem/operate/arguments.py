"""Validates the arguments of an actor, given as JSON, against its signature before the message is sent.

Without this, invalid arguments would fail only in the worker, and after all retries.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

MAX_BYTES = 2**20
# How much of an invalid value is shown.
MAX_SHOWN = 60

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


class InvalidArguments(Exception):
    """The actor cannot be called with these arguments; the text says in one line what is wrong and what is expected."""


def parse(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and keyword arguments of a JSON list or object. Raises InvalidArguments."""
    try:
        size = len(text.encode())
        if size > MAX_BYTES:
            raise InvalidArguments(f"the arguments are too long ({size:,} bytes): expected at most {MAX_BYTES:,} bytes")
        value = json.loads(text, parse_constant=_refuse)
        # 1e999 is parsed as infinity, and an escape can be a lone surrogate.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"{_shortened(text)} is not JSON: {error}") from None
    if isinstance(value, list):
        return value, {}
    if isinstance(value, dict):
        return [], value
    raise InvalidArguments(f"{_shown(value)} is invalid: expected a list of arguments, or an object with their names")


def check(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    """Check that the function can be called with these: names, count and types. Raises InvalidArguments.

    Types are checked as JSON can express them: a list for a tuple, a string for a date. A parameter without an
    annotation accepts any value.
    """
    found = signature(function)
    try:
        bound = found.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidArguments(f"{error}: expected {declared(function) or 'no arguments'}") from None
    for name, value, annotation in _typed(bound):
        if expected := _expected(value, annotation):
            raise InvalidArguments(f"{name}: {_shown(value)} is invalid: expected {expected}")


def declared(function: Callable[..., Any]) -> str:
    """Return the parameters of a function as they are written: `text: str, *, target: str = 'es'`."""
    found = signature(function).replace(return_annotation=inspect.Signature.empty)
    return str(found)[1:-1].replace("typing.", "")


def signature(function: Callable[..., Any]) -> inspect.Signature:
    # A generic actor takes anything, and calls a method with it.
    function = getattr(function, "perform", function)
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:
        # Annotations can use names that are only imported for the type checker, and raise anything that code can.
        return inspect.signature(function)


def _typed(bound: inspect.BoundArguments) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, value and annotation of each argument; those of *args and **kwargs one by one."""
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{number}]", one, parameter.annotation) for number, one in enumerate(value))
        elif parameter.kind is parameter.VAR_KEYWORD:
            yield from ((key, one, parameter.annotation) for key, one in value.items())
        else:
            yield name, value, parameter.annotation


def _expected(value: Any, annotation: Any) -> str:
    """Return what is expected instead of the value, or '' if it is valid."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return ""
    try:
        TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return _sentence(error)
    except (PydanticUserError, PydanticUndefinedAnnotation):
        return ""  # a class that pydantic does not support
    return ""


def _sentence(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    expected = dict.fromkeys(_WORDS.get(str(problem["type"])) or _of_message(problem["msg"]) for problem in problems)
    where = ".".join(map(str, problems[0]["loc"])) if len(problems) == 1 else ""
    return f"{' or '.join(list(expected)[:5])}{f' at {where}' if where else ''}"


def _of_message(text: str) -> str:
    return " ".join(text.removeprefix("Input should be ").split())


def _shown(value: Any) -> str:
    return _shortened(json.dumps(value))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")
