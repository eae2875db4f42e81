"""Every environment variable that Tandem reads: typed, checked once, one frozen object.

A secret can also come from a file, as Docker's secrets do: NAME_FILE then holds its path.
An empty variable counts as one that is not set, because compose hands over `${NAME:-}` so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

PROGRAMS = ("redis", "web", "worker")
EMBEDDED_REDIS_URL = "unix:///run/tandem/redis.sock"

# What a stopping worker gets beyond the time limit of its message, and supervisor beyond that (seconds).
DRAIN_MARGIN = 5
KILL_MARGIN = 5

T = TypeVar("T")

_QUEUE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_REDIS_URL = re.compile(r"(rediss?://.+|unix:///.+)")
_HTTP_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


class SettingsError(Exception):
    """Settings that cannot be used: `lines` has one for each, with the variable, its value and what is allowed."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _number(default: int, low: int, high: int, about: str) -> Any:
    allowed = f"a whole number from {low} to {high}"
    return Field(default, ge=low, le=high, description=about, json_schema_extra={"allowed": allowed})


def _decimal(default: float, low: float, high: float, about: str) -> Any:
    allowed = f"a number from {low:g} to {high:g}"
    return Field(
        default,
        ge=low,
        le=high,
        allow_inf_nan=False,
        description=about,
        json_schema_extra={"allowed": allowed},
    )


def _text(default: Any, allowed: str, about: str) -> Any:
    return Field(default, description=about, json_schema_extra={"allowed": allowed})


class Settings(BaseModel):
    """The settings of one container. A field `workers` is the variable `WORKERS`; seconds unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis_url: SecretStr | None = _text(
        None, "redis://…, rediss://… or unix:///…, or empty for the embedded Redis", "where the queue is"
    )
    ollama_url: str = _text("http://model:11434", "http://HOST[:PORT] or https://HOST[:PORT]", "Ollama's API")
    ollama_model: str = _text("apertium", "a model's name as Ollama lists it", "the model that translates")
    ollama_timeout: int = _number(180, 1, 86_400, "longest silence of one call to Ollama")
    ollama_num_ctx: int = _number(4096, 1024, 1_048_576, "context length, in tokens")
    translation_max_chars: int = _number(100_000, 1, 10_000_000, "longest text that is accepted, in characters")
    translation_retention: int = _number(604_800, 60, 31_536_000, "how long an ended translation is kept")
    web_workers: int = _number(2, 1, 64, "gunicorn's processes")
    web_threads: int = _number(8, 1, 256, "threads of each gunicorn process")
    workers: int = _number(2, 1, 64, "worker processes")
    worker_threads: int = _number(4, 1, 256, "threads of each worker process")
    worker_queues: tuple[str, ...] = _text(
        (), "names of queues, with commas between them, or empty for all", "the queues that are consumed"
    )
    message_time_limit: int = _number(600, 1, 86_400, "longest run of one message")
    max_retries: int = _number(3, 0, 1000, "retries of a failed message")
    retry_delay: int = _number(1000, 1, 86_400_000, "delay of the first retry, in milliseconds")
    retry_multiplier: float = _decimal(2, 1, 100, "each further delay is longer by this factor")
    programs: tuple[str, ...] = _text(
        PROGRAMS, f"names out of {', '.join(PROGRAMS)}, with commas between them", "what this container runs"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _text(
        "INFO", "DEBUG, INFO, WARNING or ERROR", "the least level that is logged"
    )
    log_format: Literal["text", "json"] = _text("text", "text or json", "how a log line is written")

    @field_validator("worker_queues", "programs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("worker_queues")
    @classmethod
    def _queue_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _require(value, all(_QUEUE_NAME.fullmatch(name) for name in value))

    @field_validator("programs")
    @classmethod
    def _known_programs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _require(value, bool(value) and set(value) <= set(PROGRAMS))

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        return _require(value, value is None or bool(_REDIS_URL.fullmatch(value.get_secret_value())))

    @field_validator("ollama_url")
    @classmethod
    def _http_scheme(cls, value: str) -> str:
        return _require(value, bool(_HTTP_URL.fullmatch(value))).rstrip("/")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.ollama_timeout >= self.message_time_limit:
            raise ValueError(
                f"OLLAMA_TIMEOUT={self.ollama_timeout} cannot be used: a call has to end before its message does, "
                f"so it must be below MESSAGE_TIME_LIMIT={self.message_time_limit}"
            )
        if self.redis_url is None and "redis" not in self.programs:
            raise ValueError(
                f"PROGRAMS={','.join(self.programs)} cannot be used: without the program redis, "
                "REDIS_URL must say where Redis is"
            )
        return self

    @property
    def redis_dsn(self) -> str:
        """The URL of the Redis in use, with its password: never log it."""
        return self.redis_url.get_secret_value() if self.redis_url else EMBEDDED_REDIS_URL

    @property
    def started_programs(self) -> tuple[str, ...]:
        """The programs that supervisor starts here: no embedded Redis where another one is named."""
        return tuple(name for name in PROGRAMS if name in self.programs and not (name == "redis" and self.redis_url))

    @property
    def drain_timeout(self) -> int:
        """Seconds that a stopping worker waits for its running messages."""
        return self.message_time_limit + DRAIN_MARGIN

    @property
    def worker_stop_seconds(self) -> int:
        """Seconds after which supervisor kills a worker that was told to stop (stopwaitsecs)."""
        return self.drain_timeout + KILL_MARGIN


def _require(value: T, fits: bool) -> T:
    if not fits:
        raise ValueError("not allowed")
    return value


def read(environment: Mapping[str, str]) -> Settings:
    """Checks the variables of `environment` and returns them as one object.

    Raises SettingsError.
    """
    values, problems = _values(environment)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_line(dict(problem), values) for problem in error.errors()]
    if problems:
        raise SettingsError(problems)
    return settings


@cache
def current() -> Settings:
    """The settings of this process, read from its environment at the first call. Raises SettingsError."""
    return read(os.environ)


def _values(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    problems: list[str] = []
    for field in Settings.model_fields:
        name = field.upper()
        value, path = environment.get(name, ""), environment.get(f"{name}_FILE", "")
        if value and path:
            problems.append(f"{name} and {name}_FILE are both set: only one of them is allowed")
        elif path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                problems.append(f"{name}_FILE={path} cannot be used: {reason}; a file that can be read is allowed")
        if value:
            values[field] = value
    return values, problems


def _line(problem: dict[str, Any], values: Mapping[str, str]) -> str:
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    field = str(problem["loc"][0])
    extra = Settings.model_fields[field].json_schema_extra
    allowed = extra["allowed"] if isinstance(extra, dict) else ""
    return f"{field.upper()}={masked(field, values[field])} cannot be used: allowed is {allowed}"


def is_secret(field: str) -> bool:
    """Whether the value of this field must never be shown."""
    return "SecretStr" in str(Settings.model_fields[field].annotation)


def masked(field: str, value: object) -> str:
    """The value as it may be shown to people and logs."""
    if value is None:
        return ""
    if is_secret(field):
        return "******"
    return ",".join(value) if isinstance(value, tuple) else str(value)
