"""The base of all settings classes, the platform's and those of workloads: typed, validated, immutable fields.

    class Greetings(SettingsBase):
        greeting_seconds: int = number(5, 0, 600, "How long a greeting takes, in seconds.")

A field `greeting_seconds` is the variable `GREETING_SECONDS`. Any setting can also come from a file, as Docker's
secrets do: NAME_FILE then contains its path. An empty variable counts as not set, because compose passes `${NAME:-}` as
an empty one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from tandem.config import values

T = TypeVar("T")
_CREDENTIALS = re.compile(r"(?<=//)[^/@]*@")
_HTTP_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)


class SettingsError(Exception):
    """Invalid settings: `lines` has one for each, with the variable, its value and what was expected."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def number(default: int, low: int, high: int, about: str) -> Any:
    """Return a field with a whole number from `low` to `high`."""
    return _field(default, f"a whole number from {low} to {high}", about, form="whole", ge=low, le=high)


def decimal(default: float, low: float, high: float, about: str) -> Any:
    """Return a field with a number from `low` to `high`, such as 0.5."""
    expected = f"a number from {low:g} to {high:g}"
    return _field(default, expected, about, form="decimal", ge=low, le=high, allow_inf_nan=False)


def duration(default: int, low: int, high: int, about: str) -> Any:
    """Return a field with a number of seconds, which may be written as 660s, 11m or 1h30m."""
    expected = f"a duration such as 660s, 11m or 1h30m, from {low} to {high} seconds"
    return _field(default, expected, about, form="seconds", ge=low, le=high)


def size(default: str, about: str) -> Any:
    """Return a field with a number of bytes, which may be written as 256M."""
    return _field(values.parse_size(default), values.SIZE_EXPECTED, about, form="size")


def names(default: tuple[str, ...], expected: str, about: str) -> Any:
    """Return a field of type tuple[str, ...]: parts separated by commas."""
    return _field(default, expected, about, form="names")


def switch(default: bool, about: str) -> Any:
    """Return a field with a bool: 0 or 1."""
    return _field(default, "0 or 1", about, form="switch")


def text(default: Any, expected: str, about: str) -> Any:
    """Return a field with any text: a str, a Literal, or a SecretStr, which is never shown."""
    return _field(default, expected, about, form="text")


def _field(default: Any, expected: str, about: str, *, form: str, **bounds: Any) -> Any:
    return Field(default, description=about, json_schema_extra={"expected": expected, "form": form}, **bounds)


def require(value: T, fits: bool) -> T:
    """Return the value, for validators. Raises ValueError if it does not fit; the expected value is the explanation."""
    if not fits:
        raise ValueError(values.NO_REASON)
    return value


def is_http_url(url: str) -> bool:
    """Return whether it is a URL with http or https, and without a fragment."""
    try:
        return _HTTP_URL.validate_python(url).fragment is None
    except ValidationError:
        return False


def without_credentials(url: str) -> str:
    """Return a URL with its user and password masked."""
    return _CREDENTIALS.sub("******@", url)


_FORMS: dict[str, Callable[[str], object]] = {
    "whole": values.whole,
    "decimal": values.decimal,
    "seconds": values.seconds,
    "size": values.parse_size,
    "names": values.names,
    "switch": values.switch,
    "text": str,
}


class SettingsBase(BaseModel):
    """The settings of one owner."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    #: Headings of .env.example, each by the field below it.
    headings: ClassVar[Mapping[str, str]] = {}
    #: Variables that only compose.yaml reads, by name: default and explanation.
    compose_variables: ClassVar[Mapping[str, tuple[str, str]]] = {}

    @field_validator("*", mode="before")
    @classmethod
    def _read_text(cls, value: object, info: ValidationInfo) -> object:
        return _FORMS[_extra(cls, str(info.field_name))["form"]](value) if isinstance(value, str) else value

    def conflicts(self, platform: Any) -> Iterator[str]:
        """Yield one line for each value that conflicts with the platform's settings."""
        return iter(())

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Validate the variables of `environment`. Raises SettingsError with a line for each invalid one."""
        given, problems = _given(cls, environment)
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            problems += [_line(cls, dict(problem), given) for problem in error.errors()]
        if problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def current(cls) -> Self:
        """Return the settings of this process, read from its environment at the first call. Raises SettingsError."""
        if cls not in _current:
            _current[cls] = cls.read(os.environ)
        found = _current[cls]
        assert isinstance(found, cls)  # noqa: S101  for the type checker
        return found

    def shown(self) -> dict[str, str]:
        """Return the value of each variable as it may be shown to people and in logs."""
        return {name.upper(): masked(type(self), name, value) for name, value in self}


_current: dict[type[SettingsBase], SettingsBase] = {}


def reset_current() -> None:
    """Make `current` read the environment again, for tests."""
    _current.clear()


def _given(kind: type[SettingsBase], environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    given: dict[str, str] = {}
    problems: list[str] = []
    for field in kind.model_fields:
        name = field.upper()
        value, path = environment.get(name, ""), environment.get(f"{name}_FILE", "")
        if value and path:
            problems.append(f"{name} and {name}_FILE are both set: expected only one of them")
        elif path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                problems.append(f"{name}_FILE={path} is invalid: {reason}; expected a readable file")
        if value:
            given[field] = value
    return given, problems


def _line(kind: type[SettingsBase], problem: dict[str, Any], given: Mapping[str, str]) -> str:
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    field = str(problem["loc"][0])
    reason = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else values.NO_REASON
    why = "" if reason == values.NO_REASON else f"{reason}; "
    value = masked(kind, field, given[field])
    # Quoted if its characters would not be visible otherwise.
    quoted = value if value.isprintable() and value == value.strip() else repr(value)
    return f"{field.upper()}={quoted} is invalid: {why}expected {_extra(kind, field)['expected']}"


def is_secret(kind: type[SettingsBase], field: str) -> bool:
    """Return whether the value of this field must never be shown."""
    return "SecretStr" in str(kind.model_fields[field].annotation)


def masked(kind: type[SettingsBase], field: str, value: object) -> str:
    """Return the value of a field as it may be shown to people and in logs."""
    form = _extra(kind, field)["form"]
    if value is None:
        return ""
    if is_secret(kind, field):
        return "******"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int) and form == "size":
        return values.show_size(value)
    if isinstance(value, int) and form == "seconds":
        return f"{value}s"  # compose reads it as well, and rejects a bare number
    if isinstance(value, float):
        return f"{value:g}"
    return without_credentials(",".join(value) if isinstance(value, tuple) else str(value))


def _extra(kind: type[SettingsBase], field: str) -> dict[str, Any]:
    extra = kind.model_fields[field].json_schema_extra
    return extra if isinstance(extra, dict) else {"form": "text", "expected": "a text"}
