"""Arguments as they may be shown."""

from __future__ import annotations

import json
from typing import Any

import dramatiq
import pytest

from tandem.web.ops import masking

HIDDEN = ("password", "token")


def shown(function: Any, *args: Any, **kwargs: Any) -> Any:
    message: Any = dramatiq.Message("mail", "deliver", args, kwargs, {})
    return json.loads(masking.arguments(message, function, HIDDEN))


def login(user: str, password: str, *, options: Any = None) -> None: ...


def test_arguments_have_the_names_of_their_parameters_and_hidden_ones_no_value() -> None:
    assert shown(login, "ada", "secret") == {"user": "ada", "password": masking.HIDDEN}
    assert shown(login, "ada", **{"password": "secret"}) == {"user": "ada", "password": masking.HIDDEN}


def test_fields_inside_of_arguments_are_hidden_as_well() -> None:
    found = shown(login, "ada", "x", options={"headers": [{"token": "secret", "kind": "b"}]})
    assert found["options"] == {"headers": [{"token": masking.HIDDEN, "kind": "b"}]}


def anything(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize("function", [None, anything])
def test_arguments_without_known_names_are_not_shown(function: Any) -> None:
    assert shown(function, "secret", user="ada") == {"0": masking.HIDDEN, "user": "ada"}


def test_a_message_within_a_message_hides_its_arguments() -> None:
    inner = {"actor_name": "login", "args": ["ada", "secret"], "kwargs": {"password": "secret"}}
    assert "secret" not in json.dumps(shown(login, inner, "x"))


def test_endless_arguments_are_cut() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    message: Any = dramatiq.Message("mail", "deliver", (deep, "x" * 100_000), {}, {})
    text = masking.arguments(message, login, ())
    assert len(text) < masking.MOST_SHOWN + 100
    assert "more characters" in text
