"""Every environment variable that Tandem reads: typed, checked once, one frozen object.

A secret can also come from a file, as Docker's secrets do: NAME_FILE then holds its path.
An empty variable counts as one that is not set, because compose hands over `${NAME:-}` so.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    RedisDsn,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from app import sentinel
from app.environment import EMBEDDED_REDIS_URL

PROGRAMS = ("redis", "web", "worker", "monitor", "events")

# A week, in seconds.
FAILED_RETENTION = 604_800

# What a stopping worker gets beyond the time limit of its message, and supervisor beyond that (seconds).
DRAIN_MARGIN = 5
KILL_MARGIN = 5
MAX_WORKERS = 64
# supervisor stops one group after the other: the stopwaitsecs of all programs but the workers.
OTHER_GROUPS_SECONDS = 50

T = TypeVar("T")

_QUEUE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_DEDICATED = re.compile(rf"({_QUEUE_NAME.pattern})=([0-9]{{1,2}})")
# OLLAMA_MODELS for every model that the server has.
ANY_MODEL = "*"
# ALLOWED_HOSTS for every name by which a client may know this server.
ANY_HOST = "*"
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
# How the Standard Webhooks specification writes a key that is not text: base64 behind this.
KEY_PREFIX = "whsec_"
_SECRET = re.compile(r"[\x21-\x7e]{16,256}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
# What a Redis URL may say behind its question mark; others reach the client's constructor and break it later.
_REDIS_OPTIONS = {"db", "ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZE_ALLOWED = "a whole number of bytes, or one with K, M or G such as 256M"
_CREDENTIALS = re.compile(r"(?<=//)[^/@]*@")
_HTTP_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)
_REDIS_URL: TypeAdapter[RedisDsn] = TypeAdapter(RedisDsn)

# What the monitor compares its figures with, and how often.
THRESHOLDS = (
    "alert_interval",
    "alert_queue_depth",
    "alert_failure_rate",
    "alert_worker_down",
    "alert_memory",
    "alert_wait",
    "alert_disk",
    "alert_restarts",
)


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


def parse_size(text: str) -> int:
    """Bytes of a size such as 256M: a whole number with K, M or G (powers of 1024) or none. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip().upper())
    if not match or int(match[1]) * _UNITS[match[2]] > _UNITS["T"]:
        raise ValueError(f"{text} is not a size: allowed is {SIZE_ALLOWED}")
    return int(match[1]) * _UNITS[match[2]]


def show_size(size: int) -> str:
    """A number of bytes as parse_size reads it, in the largest unit that is exact."""
    unit = next(unit for unit in ("G", "M", "K", "") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}" if size else "0"


def _size(default: str, about: str) -> Any:
    return Field(parse_size(default), description=about, json_schema_extra={"allowed": SIZE_ALLOWED, "size": True})


class Settings(BaseModel):
    """The settings of one container. A field `workers` is the variable `WORKERS`; seconds unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis_url: SecretStr | None = _text(
        None,
        "redis://…, rediss://…, unix:///… or redis+sentinel://HOST,…/SERVICE, or empty for the embedded Redis",
        "where the queue is",
    )
    redis_maxmemory: int = _size("256M", "most memory of the embedded Redis, which then refuses more; 0: any")
    ollama_url: str = _text("http://model:11434", "http://HOST[:PORT] or https://HOST[:PORT]", "Ollama's API")
    ollama_model: str = _text("apertium", "a model's name as Ollama lists it", "the model that translates")
    ollama_timeout: int = _number(180, 1, 86_400, "longest silence of one call to Ollama")
    ollama_concurrency: int = _number(4, 1, 1000, "calls to Ollama at the same time, over all containers on one Redis")
    ollama_num_ctx: int = _number(4096, 1024, 1_048_576, "context length, in tokens")
    ollama_models: tuple[str, ...] = _text(
        (),
        "names of models, with commas between them, or * for all that Ollama has",
        "what requests may name too",
    )
    ollama_pull: bool = _text(False, "0 or 1", "whether models that Ollama lacks are pulled at the start")
    translation_max_chars: int = _number(1_000_000, 1, 10_000_000, "longest text that is accepted, in characters")
    translation_retention: int = _number(604_800, 60, 31_536_000, "how long an ended translation is kept")
    translation_cache: int = _size("32M", "most memory for finished parts that may come again; 0: none are kept")
    callback_secret: SecretStr | None = _text(
        None,
        "16 to 256 visible ASCII characters, base64 behind whsec_, or empty for no callbacks",
        "signs what a callback_url gets",
    )
    callback_private: bool = _text(False, "0 or 1", "whether a callback_url may lead into a private network")
    api_token: SecretStr | None = _text(
        None, "16 to 256 visible ASCII characters, or empty for an open API", "what the API's users have to know"
    )
    rate_limit: int = _number(600, 0, 1_000_000, "requests a minute by which one client changes something; 0: any")
    proxies: int = _number(0, 0, 10, "reverse proxies in front whose X-Forwarded headers are believed")
    allowed_hosts: tuple[str, ...] = _text(
        (), "names of hosts, with commas between them, or * for any", "names under which the API may be reached"
    )
    event_readers: int = _number(500, 1, 10_000, "readers of events at once, of one web process")
    web_workers: int = _number(2, 1, 64, "gunicorn's processes")
    web_threads: int = _number(8, 1, 256, "threads of each gunicorn process")
    workers: int = _number(2, 1, MAX_WORKERS, "worker processes")
    worker_threads: int = _number(4, 1, 256, "threads of each worker process")
    worker_queues: tuple[str, ...] = _text(
        (), "names of queues, with commas between them, or empty for all", "the queues that are consumed"
    )
    worker_dedicated: tuple[str, ...] = _text(
        (),
        f"QUEUE=COUNT with commas between them, each queue once, each count from 1 to {MAX_WORKERS}, or empty for none",
        "further worker processes, which serve one queue only",
    )
    worker_time_limit: int = _number(3600, 0, 31_536_000, "a worker is replaced after so long; 0: never")
    worker_memory_limit: int = _size("256M", "a worker is replaced when it has grown to this; 0: never")
    worker_message_limit: int = _number(1000, 0, 1_000_000_000, "a worker is replaced after so many; 0: never")
    worker_failure_limit: int = _number(0, 0, 1_000_000, "and after so many failures in a row; 0: never")
    message_time_limit: int = _number(600, 1, 86_400, "longest run of one message")
    stop_grace_period: int = _number(660, 1, 172_800, "what compose waits for a stop, with or without an s behind it")
    max_retries: int = _number(3, 0, 1000, "retries of a failed message")
    retry_delay: int = _number(1000, 1, 86_400_000, "delay of the first retry, in milliseconds")
    retry_multiplier: float = _decimal(2, 1, 100, "each further delay is longer by this factor")
    queue_limit: int = _number(10_000, 1, 10_000_000, "translations that may wait; more are refused for a while")
    queue_transport: Literal["redis", "sync"] = _text(
        "redis", "redis or sync", "sync: messages are handled where they are sent, for development"
    )
    failed_retention: int = _number(FAILED_RETENTION, 60, 31_536_000, "how long a dead letter is kept")
    programs: tuple[str, ...] = _text(
        PROGRAMS, f"names out of {', '.join(PROGRAMS)}, with commas between them", "what this container runs"
    )
    alert_interval: int = _number(15, 1, 3600, "between two looks of the monitor")
    alert_queue_depth: int = _number(500, 0, 1_000_000_000, "more ready messages in a queue are told; 0: never")
    alert_failure_rate: float = _decimal(0.1, 0, 1, "a larger share of failures in ten minutes is told; 0: never")
    alert_worker_down: int = _number(300, 0, 86_400, "a worker that is down for so long is told; 0: never")
    alert_memory: int = _size("512M", "more memory of the container is told; 0: never")
    alert_wait: int = _number(300, 0, 31_536_000, "a message that waits longer is told; 0: never")
    alert_disk: float = _decimal(0.9, 0, 1, "a disk that is as full as this is told; 0: never")
    alert_restarts: int = _number(5, 0, 1000, "so many unexpected ends of a process in ten minutes are told; 0: never")
    alert_webhook_url: SecretStr | None = _text(None, "http://… or https://…, or empty for none", "where alerts go")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _text(
        "INFO", "DEBUG, INFO, WARNING or ERROR", "the least level that is logged"
    )
    log_format: Literal["text", "json"] = _text("text", "text or json", "how a log line is written")

    @field_validator("worker_queues", "worker_dedicated", "programs", "ollama_models", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("worker_memory_limit", "redis_maxmemory", "alert_memory", "translation_cache", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        return parse_size(value) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("worker_queues")
    @classmethod
    def _queue_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _require(value, all(_QUEUE_NAME.fullmatch(name) for name in value))

    @field_validator("worker_dedicated")
    @classmethod
    def _queues_with_counts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        matches = [match for part in value if (match := _DEDICATED.fullmatch(part))]
        queues = {match[1] for match in matches}
        counts_fit = all(1 <= int(match[2]) <= MAX_WORKERS for match in matches)
        return _require(value, len(queues) == len(value) and counts_fit)

    @field_validator("programs")
    @classmethod
    def _known_programs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _require(value, bool(value) and set(value) <= set(PROGRAMS))

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        return _require(value, value is None or _is_redis_url(value.get_secret_value()))

    @field_validator("alert_webhook_url")
    @classmethod
    def _webhook_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        return _require(value, value is None or _is_http_url(value.get_secret_value()))

    @field_validator("ollama_url")
    @classmethod
    def _http_scheme(cls, value: str) -> str:
        return _require(value, _is_http_url(value) and "?" not in value).rstrip("/")

    @field_validator("ollama_model")
    @classmethod
    def _names_a_model(cls, value: str) -> str:
        return _require(value, is_model_name(value))

    @field_validator("ollama_models")
    @classmethod
    def _names_models(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _require(value, value == (ANY_MODEL,) or all(is_model_name(name) for name in value))

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _require(value, all(name == ANY_HOST or _HOST_NAME.fullmatch(name) for name in value))

    @field_validator("ollama_pull", "callback_private", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        return _require(value == "1", value in ("0", "1")) if isinstance(value, str) else value

    @field_validator("api_token", "callback_secret")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        return _require(value, value is None or bool(_SECRET.fullmatch(value.get_secret_value())))

    @field_validator("callback_secret")
    @classmethod
    def _can_sign(cls, value: SecretStr | None) -> SecretStr | None:
        secret = value.get_secret_value() if value else ""
        return _require(value, not secret.startswith(KEY_PREFIX) or _is_base64(secret.removeprefix(KEY_PREFIX)))

    @field_validator("stop_grace_period", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return value.removesuffix("s") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.ollama_timeout >= self.message_time_limit:
            raise ValueError(
                f"OLLAMA_TIMEOUT={self.ollama_timeout} cannot be used: a call has to end before its message does, "
                f"so it must be below MESSAGE_TIME_LIMIT={self.message_time_limit}"
            )
        if self.stop_grace_period < self.worker_stop_seconds + OTHER_GROUPS_SECONDS:
            raise ValueError(
                f"STOP_GRACE_PERIOD={self.stop_grace_period}s cannot be used: the container would be killed before its "
                f"messages may end, so with MESSAGE_TIME_LIMIT={self.message_time_limit} it must be at least "
                f"{self.worker_stop_seconds + OTHER_GROUPS_SECONDS}s"
            )
        if self.worker_processes > MAX_WORKERS:
            raise ValueError(
                f"WORKER_DEDICATED={','.join(self.worker_dedicated)} cannot be used: with WORKERS={self.workers} these "
                f"are {self.worker_processes} worker processes, and at most {MAX_WORKERS} are allowed"
            )
        if not self.started_programs:
            raise ValueError(
                f"PROGRAMS={','.join(self.programs)} cannot be used: with a REDIS_URL no embedded Redis is started, "
                "so nothing is left to run"
            )
        if self.redis_url is None and "redis" not in self.programs:
            raise ValueError(
                f"PROGRAMS={','.join(self.programs)} cannot be used: without the program redis, "
                "REDIS_URL must say where Redis is"
            )
        return self

    @property
    def ollama_name(self) -> str:
        """Ollama's URL as it may be shown: without a password."""
        return without_credentials(self.ollama_url)

    @property
    def redis_dsn(self) -> str:
        """The URL of the Redis in use, with its password: never log it."""
        return self.redis_url.get_secret_value() if self.redis_url else EMBEDDED_REDIS_URL

    @property
    def has_redis(self) -> bool:
        """Whether there is a Redis to be connected to: on a developer's machine there may be none."""
        return self.redis_url is not None or Path(EMBEDDED_REDIS_URL.removeprefix("unix://")).exists()

    @property
    def started_programs(self) -> tuple[str, ...]:
        """The programs that supervisor starts here.

        No embedded Redis where another one is named, and no workers where messages are handled by their senders.
        Beside those who handle messages, `prepare`.
        """
        left_out = {"redis"} if self.redis_url else set()
        if self.queue_transport == "sync":
            left_out.add("worker")
        started = tuple(name for name in PROGRAMS if name in self.programs and name not in left_out)
        handling = "web" if self.queue_transport == "sync" else "worker"
        return (*started, "prepare") if handling in started else started

    @property
    def dedicated_queues(self) -> tuple[str, ...]:
        """The queue of each dedicated worker process, in the order of their numbers."""
        parts = [part.split("=") for part in self.worker_dedicated]
        return tuple(queue for queue, count in parts for _ in range(int(count)))

    @property
    def worker_processes(self) -> int:
        """How many worker processes there are with the dedicated ones."""
        return self.workers + len(self.dedicated_queues)

    def queues_of_worker(self, number: int) -> tuple[str, ...]:
        """What the worker process with this number consumes (nothing said: all); the dedicated ones come last."""
        dedicated = self.dedicated_queues[number - self.workers :] if number >= self.workers else ()
        return dedicated[:1] or self.worker_queues

    @property
    def drain_timeout(self) -> int:
        """Seconds that a stopping worker waits for its running messages."""
        return self.message_time_limit + DRAIN_MARGIN

    @property
    def worker_stop_seconds(self) -> int:
        """Seconds after which supervisor kills a worker that was told to stop (stopwaitsecs)."""
        return self.drain_timeout + KILL_MARGIN


def is_model_name(text: str) -> bool:
    """Whether Ollama could list a model under this name."""
    return bool(_MODEL_NAME.fullmatch(text))


def without_credentials(text: str) -> str:
    """A URL with its user and password masked."""
    return _CREDENTIALS.sub("******@", text)


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text, validate=True))
    except ValueError:
        return False


def _is_http_url(text: str) -> bool:
    try:
        url = _HTTP_URL.validate_python(text)
    except ValidationError:
        return False
    return url.fragment is None


def _is_redis_url(text: str) -> bool:
    if sentinel.is_url(text):
        return sentinel.parse(text) is not None
    if text.startswith("unix://"):
        return text.startswith("unix:///") and not set("?#") & set(text)
    try:
        url = _REDIS_URL.validate_python(text)
    except ValidationError:
        return False
    # An unescaped # in a password ends the URL there, and the rest of the password is taken for a port or is lost.
    database = (url.path or "").strip("/")
    options = {name for name, _ in url.query_params()}
    return url.fragment is None and (not database or database.isdigit()) and options <= _REDIS_OPTIONS


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
    if isinstance(value, bool):
        return str(int(value))
    extra = Settings.model_fields[field].json_schema_extra
    if isinstance(value, int) and isinstance(extra, dict) and extra.get("size"):
        return show_size(value)
    return without_credentials(",".join(value) if isinstance(value, tuple) else str(value))
