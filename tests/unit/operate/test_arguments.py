"""Arguments from outside: what an actor can be called with passes, and one line says what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel

from tandem.operate.arguments import MAX_BYTES, InvalidArguments, check, parse

if TYPE_CHECKING:
    from decimal import Decimal


class Address(BaseModel):
    street: str
    number: int


class Unknown:
    """What no JSON can say."""


def summarize(report_id: str) -> None: ...
def charge(order: int, *, amount: float = 1.0, currency: Literal["EUR", "USD"] = "EUR") -> None: ...
def tag(name: str | None, tags: list[str], when: date, place: tuple[int, int]) -> None: ...
def move(address: Address) -> None: ...
def total(*numbers: int, **labels: str) -> None: ...
def anything(value, other=None) -> None: ...  # type: ignore[no-untyped-def]
def hidden(amount: Decimal, whatever: int) -> None: ...
def odd(value: Unknown) -> None: ...
def nothing() -> None: ...


def called(function: Callable[..., Any], text: str) -> None:
    check(function, *parse(text))


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (summarize, '["4f1c"]'),
        (summarize, '{"report_id": "4f1c"}'),
        (charge, "[5]"),
        (charge, '{"order": 5, "amount": 2, "currency": "USD"}'),
        (tag, '[null, ["a", "b"], "2026-11-22", [1, 2]]'),
        (move, '[{"street": "Main", "number": 5}]'),
        (total, "[1, 2, 3]"),
        (total, '{"a": "x", "b": "y"}'),
        (total, "[]"),
        (anything, '[{"deep": [null, true, 1.5]}, 7]'),
        (hidden, '["its annotation exists for the type checker only", 1]'),
        (odd, '["nobody can check it"]'),
        (nothing, "[]"),
        (nothing, "{}"),
    ],
)
def test_what_the_actor_can_be_called_with_passes(function: Callable[..., Any], text: str) -> None:
    called(function, text)


@pytest.mark.parametrize(
    ("function", "text", "line"),
    [
        (summarize, "[5]", "report_id: 5 is invalid: expected a string"),
        (summarize, "[null]", "report_id: null is invalid: expected a string"),
        (summarize, "[]", "missing a required argument: 'report_id': expected report_id: str"),
        (summarize, '["a", "b"]', "too many positional arguments: expected report_id: str"),
        (summarize, '{"id": "a"}', "missing a required argument: 'report_id': expected report_id: str"),
        (
            summarize,
            '{"report_id": "a", "to": "es"}',
            "got an unexpected keyword argument 'to': expected report_id: str",
        ),
        (nothing, "[1]", "too many positional arguments: expected no arguments"),
        (
            charge,
            "[]",
            "missing a required argument: 'order': "
            "expected order: int, *, amount: float = 1.0, currency: Literal['EUR', 'USD'] = 'EUR'",
        ),
        (charge, '["5"]', 'order: "5" is invalid: expected a whole number'),
        (charge, "[true]", "order: true is invalid: expected a whole number"),
        (charge, "[1.5]", "order: 1.5 is invalid: expected a whole number"),
        (charge, '{"order": 1, "amount": "2"}', 'amount: "2" is invalid: expected a number'),
        (charge, '{"order": 1, "currency": "GBP"}', "currency: \"GBP\" is invalid: expected 'EUR' or 'USD'"),
        (tag, '[null, ["a", 2], "2026-11-22", [1, 2]]', 'tags: ["a", 2] is invalid: expected a string at 1'),
        (move, '[{"street": "Main"}]', 'address: {"street": "Main"} is invalid: expected a value at number'),
        (total, '[1, "2"]', 'numbers[1]: "2" is invalid: expected a whole number'),
        (total, '{"label": 2}', "label: 2 is invalid: expected a string"),
        (summarize, f'[["{"x" * 100}"]]', f'report_id: ["{"x" * 58}… is invalid: expected a string'),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(function: Callable[..., Any], text: str, line: str) -> None:
    with pytest.raises(InvalidArguments) as error:
        called(function, text)

    assert str(error.value) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is not JSON: Expecting value"),
        ("[1,]", "is not JSON: "),
        ("{1: 2}", "is not JSON: "),
        ("5", "5 is invalid: expected a list of arguments, or an object with their names"),
        ('"text"', '"text" is invalid: expected a list'),
        ("null", "null is invalid: expected a list"),
        ("[NaN]", "JSON has no NaN"),
        ("[-Infinity]", "JSON has no -Infinity"),
        ("[1e999]", "is not JSON: "),
        ('["\\ud800"]', "is not JSON: "),
        ("[\udcff]", "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        ("[" + "9" * 5000 + "]", "is not JSON: "),
        (f'["{"x" * MAX_BYTES}"]', "expected at most 1,048,576"),
    ],
)
def test_what_is_no_json_for_arguments_is_refused_in_one_short_line(text: str, line: str) -> None:
    with pytest.raises(InvalidArguments) as error:
        parse(text)

    assert line in str(error.value)
    assert len(str(error.value)) < 250
    assert "\n" not in str(error.value)


def test_a_mebibyte_of_arguments_is_allowed() -> None:
    assert parse(f'["{"x" * (MAX_BYTES - 4)}"]') == (["x" * (MAX_BYTES - 4)], {})
