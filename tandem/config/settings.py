"""The platform's settings: every environment variable that it reads itself. A workload has a class of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import RedisDsn, SecretStr, TypeAdapter, ValidationError, field_validator, model_validator

from tandem.config import sentinel, values
from tandem.config.environment import EMBEDDED_REDIS_URL
from tandem.config.settings_base import (
    SettingsBase,
    decimal,
    duration,
    is_http_url,
    names,
    number,
    require,
    reset_current,
    size,
    switch,
    text,
)

PROGRAMS = ("redis", "web", "worker", "monitor", "eventlistener")

# A week, in seconds.
FAILED_RETENTION = 604_800
MESSAGE_TIME_LIMIT = 600
MAX_RETRIES = 3
RETRY_DELAY = 1000
RETRY_MULTIPLIER = 2.0

# Extra time of a stopping worker beyond the time limit of its message, and of supervisor beyond that (seconds).
DRAIN_MARGIN = 5
KILL_MARGIN = 5
MAX_WORKERS = 64
MAX_APP_NAME = 60
# supervisor stops one group after the other: the stopwaitsecs of all programs but the workers.
OTHER_GROUPS_SECONDS = 50
# ALLOWED_HOSTS for any name of this server.
ANY_HOST = "*"

_QUEUE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_DEDICATED = re.compile(rf"({_QUEUE_NAME.pattern})=([0-9]{{1,2}})")
# Allowed query parameters of a Redis URL; others would be passed to the client's constructor and fail later.
_REDIS_OPTIONS = {"db", "ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
_REDIS_URL: TypeAdapter[RedisDsn] = TypeAdapter(RedisDsn)

# The thresholds of the monitor, and its interval.
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


class Settings(SettingsBase):
    """The platform's settings of one container."""

    headings: ClassVar = {
        "redis_url": "the queue's Redis",
        "api_token": "who may use the API",
        "web_workers": "processes",
        "message_time_limit": "messages",
        "alert_webhook_url": "alerts",
        "otel_exporter_otlp_endpoint": "traces and reports",
        "log_level": "logs",
    }
    compose_variables: ClassVar = {
        "BIND_ADDRESS": (
            "127.0.0.1",
            "Where the page and the API are on the host. 0.0.0.0 opens them to the network: put something with TLS in "
            "front.",
        ),
        "PORT": ("8000", ""),
    }

    redis_url: SecretStr | None = text(
        None,
        "redis://…, rediss://…, unix:///… or redis+sentinel://HOST,…/SERVICE, or empty for the embedded Redis",
        "Empty: the embedded one. Otherwise redis://[:PASSWORD@]HOST[:PORT][/DB], rediss://… or unix:///…\n"
        "With Sentinels: redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/SERVICE[/DB], or "
        "rediss+sentinel://… for TLS.",
    )
    redis_maxmemory: int = size(
        "256M",
        "Most memory of the embedded Redis. When it is used up, new messages are refused and accepted ones go on. "
        "0: no limit.",
    )
    disk_free_limit: int = size(
        "64M",
        "New work is refused (503) while less is free on the disk of /data, so that nothing accepted is lost when it "
        "fills up. For the embedded Redis. 0: never.",
    )
    api_token: SecretStr | None = text(
        None,
        "16 to 256 visible ASCII characters, or empty for an open API",
        "When set, the API requires `Authorization: Bearer …` with it (16 characters or more). The page asks for it.",
    )
    api_tokens: SecretStr | None = text(
        None,
        "NAME:TOKEN with commas or line ends between them, each token 16 to 256 visible ASCII characters, or empty",
        "Further tokens with names, NAME:TOKEN,NAME:TOKEN (in a file also one on each line): the clients of each see, "
        "cancel and count only what is their own, and the log says the name. Everybody with the API_TOKEN, or without "
        "any, shares one view.",
    )
    metrics_token: SecretStr | None = text(
        None,
        values.TOKEN_EXPECTED,
        "When set, GET /metrics requires `Authorization: Bearer …` with it; otherwise a token of the API, if there is "
        "any.",
    )
    ops_token: SecretStr | None = text(
        None,
        values.TOKEN_EXPECTED,
        "Opens the operations page /ops for those who sign in with it; without it there is none. bin/up makes one.",
    )
    ops_read_token: SecretStr | None = text(
        None, values.TOKEN_EXPECTED, "Opens /ops for looking only: whoever signs in with it can change nothing."
    )
    ops_hidden_arguments: tuple[str, ...] = names(
        ("password", "secret", "token"),
        "names of arguments, with commas between them",
        "Arguments of messages, and fields in them, whose values /ops never shows: names, with commas between them.",
    )
    ops_trace_url: str = text(
        "",
        "http://… or https://… with {trace_id}, or empty for none",
        "Where /ops links the trace of a message, such as https://jaeger.example.org/trace/{trace_id}.",
    )
    rate_limit: int = number(
        600, 0, 1_000_000, "Requests a minute with which one client (its address) may change something. 0: no limit."
    )
    proxies: int = number(
        0,
        0,
        10,
        "How many reverse proxies stand in front, each of which adds X-Forwarded-For and -Proto. 0: the headers are "
        "ignored.",
    )
    allowed_hosts: tuple[str, ...] = names(
        (),
        "names of hosts, with commas between them, or * for any",
        "Without an API_TOKEN and without proxies: the names, beside localhost, addresses and names without a dot, by "
        "which clients reach the API, with commas between them; *: any. It keeps pages of other sites out (DNS "
        "rebinding).",
    )
    event_readers: int = number(
        500, 1, 10_000, "Open event streams of one web process; more are refused for a while. They hold no threads."
    )
    client_event_streams: int = number(
        50, 1, 100_000, "Open event streams of one client (its address). One more is refused for a while."
    )
    client_requests: int = number(100, 1, 100_000, "Other requests that one client makes at the same time.")
    body_limit: int = size("16M", "Longest body (K, M or G) of a request that is read at all; routes accept less.")
    large_bodies: int = number(
        2, 1, 1000, "Bodies above 64 KB that one web process works on at once; one more is refused for a while."
    )
    web_workers: int = number(2, 1, 64, "gunicorn's processes, and the threads of each.")
    web_threads: int = number(8, 1, 256, "")
    web_memory_limit: int = size(
        "256M", "Resident memory (K, M or G) at which a web process is replaced, when it has no request. 0: never."
    )
    workers: int = number(2, 1, MAX_WORKERS, "Worker processes, and the messages that each runs at the same time.")
    worker_threads: int = number(4, 1, 256, "")
    worker_queues: tuple[str, ...] = names(
        (),
        "names of queues, with commas between them, or empty for all",
        "Queues to consume, with commas between them; empty: all.",
    )
    worker_dedicated: tuple[str, ...] = names(
        (),
        f"QUEUE=COUNT with commas between them, each queue once, each count from 1 to {MAX_WORKERS}, or empty for none",
        "Further worker processes that serve one queue only: urgent=1,bulk=2.",
    )
    worker_time_limit: int = number(
        3600,
        0,
        31_536_000,
        "After this a worker finishes its running messages and a fresh one takes its place: seconds, resident memory "
        "(K, M or G), messages, failures in a row. 0: never.",
    )
    worker_memory_limit: int = size("256M", "")
    worker_message_limit: int = number(1000, 0, 1_000_000_000, "")
    worker_failure_limit: int = number(0, 0, 1_000_000, "")
    queue_transport: Literal["redis", "sync"] = text(
        "redis",
        "redis or sync",
        "sync: messages are handled where they are sent, before the request is answered, and no workers run. For "
        "development.",
    )
    programs: tuple[str, ...] = names(
        PROGRAMS,
        f"names from {', '.join(PROGRAMS)}, with commas between them",
        "What this container runs. A container of workers only: PROGRAMS=worker,monitor,eventlistener with a "
        "REDIS_URL.",
    )
    app_name: str = text(
        "Tandem", "a name of 1 to 60 characters", "Name of the application in /docs and /openapi.json."
    )
    reload: bool = switch(
        False, "For development: web and workers take over code of the application within a second after it was saved."
    )
    debug_port: int = number(
        0,
        0,
        65_000,
        "For development, with RELOAD=1: an editor attaches to the web at this port and to the workers at the next "
        "ones. 0: none.",
    )
    message_time_limit: int = number(
        MESSAGE_TIME_LIMIT,
        1,
        86_400,
        "Longest run of one message, in seconds. A stop waits as long (see STOP_GRACE_PERIOD).",
    )
    stop_grace_period: int = duration(
        720,
        1,
        172_800,
        "How long `docker compose stop` waits at most, such as 660s, 11m or 1h30m: at least MESSAGE_TIME_LIMIT + 60 "
        "seconds.",
    )
    start_step_timeout: int = duration(
        300,
        1,
        86_400,
        "Longest run of a start step (an executable in /etc/tandem/init.d), and longest wait for another container's.",
    )
    max_retries: int = number(
        MAX_RETRIES,
        0,
        1000,
        "Retries of a failed message: how many, the delay of the first in milliseconds, the factor from one to the "
        "next.",
    )
    retry_delay: int = number(RETRY_DELAY, 1, 86_400_000, "")
    retry_multiplier: float = decimal(RETRY_MULTIPLIER, 1, 100, "")
    failed_retention: int = number(
        FAILED_RETENTION,
        60,
        31_536_000,
        "How many seconds a message that failed for good is kept (see `queue failed`).",
    )
    queue_limit: int = number(
        10_000,
        1,
        10_000_000,
        "Messages that may wait in a queue that clients fill; beyond it their requests get 429 with Retry-After.",
    )
    alert_webhook_url: SecretStr | None = text(
        None,
        "http://… or https://…, or empty for none",
        "Gets a JSON object with the field `text` (Slack's format) when an alert is raised or cleared.",
    )
    alert_interval: int = number(
        15,
        1,
        3600,
        "How often the monitor checks, in seconds. Below, 0 switches an alert off. Containers on one Redis need the "
        "same values.",
    )
    alert_queue_depth: int = number(500, 0, 1_000_000_000, "More ready messages in a queue.")
    alert_failure_rate: float = decimal(
        0.1, 0, 1, "A larger share of messages that failed for good in ten minutes (of ten or more)."
    )
    alert_wait: int = number(300, 0, 31_536_000, "A message that waits longer, in seconds.")
    alert_worker_down: int = number(300, 0, 86_400, "A worker that is down for this many seconds.")
    alert_restarts: int = number(5, 0, 1000, "Unexpected exits of one process in ten minutes.")
    alert_memory: int = size("512M", "The container's memory (K, M or G).")
    alert_disk: float = decimal(0.9, 0, 1, "How full the disk of /data or of the logs is, from 0 to 1.")
    otel_exporter_otlp_endpoint: str | None = text(
        None,
        "http://… or https://…, or empty for none",
        "Where traces of requests and messages go by OTLP over HTTP, such as http://collector:4318. Needs the extra "
        "`tracing`; OpenTelemetry's further variables, as OTEL_SERVICE_NAME, count as well.",
    )
    sentry_dsn: SecretStr | None = text(
        None,
        "https://KEY@HOST/PROJECT, or empty for none",
        "Where each dead letter and each unforeseen error of the web is reported. Needs the extra `sentry`.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = text(
        "INFO", "DEBUG, INFO, WARNING or ERROR", "DEBUG, INFO, WARNING or ERROR; text or json."
    )
    log_format: Literal["text", "json"] = text("text", "text or json", "")
    log_colors: bool = switch(False, "For development: `docker logs` shows the name of each process in a colour.")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("worker_queues")
    @classmethod
    def _queue_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return require(value, all(_QUEUE_NAME.fullmatch(name) for name in value))

    @field_validator("worker_dedicated")
    @classmethod
    def _queues_with_counts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        matches = [match for part in value if (match := _DEDICATED.fullmatch(part))]
        queues = {match[1] for match in matches}
        counts_fit = all(1 <= int(match[2]) <= MAX_WORKERS for match in matches)
        return require(value, len(queues) == len(value) and counts_fit)

    @field_validator("app_name")
    @classmethod
    def _short_name(cls, value: str) -> str:
        return require(value, 1 <= len(value) <= MAX_APP_NAME and value.isprintable())

    @field_validator("programs")
    @classmethod
    def _known_programs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return require(value, bool(value) and set(value) <= set(PROGRAMS))

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        return require(value, value is None or _is_redis_url(value.get_secret_value()))

    @field_validator("alert_webhook_url", "sentry_dsn")
    @classmethod
    def _webhook_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        return require(value, value is None or is_http_url(value.get_secret_value()))

    @field_validator("ops_trace_url")
    @classmethod
    def _names_the_trace(cls, value: str) -> str:
        return require(value, not value or ("{trace_id}" in value and value.startswith(("http://", "https://"))))

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _collector_scheme(cls, value: str | None) -> str | None:
        return require(value, value is None or is_http_url(value))

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if name == ANY_HOST else values.host_name(name) for name in value)

    @field_validator("api_token", "metrics_token", "ops_token", "ops_read_token")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            values.token(value.get_secret_value())
        return value

    @field_validator("api_tokens")
    @classmethod
    def _tokens_have_names(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            values.named_tokens(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        needed, grace_period = self.stop_seconds
        if grace_period < needed:
            raise ValueError(
                f"STOP_GRACE_PERIOD={self.stop_grace_period}s is invalid: the container would be killed before its "
                f"messages may end; with MESSAGE_TIME_LIMIT={self.message_time_limit} expected at least "
                f"{needed}s"
            )
        if self.worker_processes > MAX_WORKERS:
            raise ValueError(
                f"WORKER_DEDICATED={','.join(self.worker_dedicated)} is invalid: with WORKERS={self.workers} these "
                f"are {self.worker_processes} worker processes; expected at most {MAX_WORKERS}"
            )
        if not self.started_programs:
            raise ValueError(
                f"PROGRAMS={','.join(self.programs)} is invalid: with a REDIS_URL no embedded Redis is started, "
                "so no program is left to run"
            )
        if self.debug_port and not self.reload:
            raise ValueError(
                f"DEBUG_PORT={self.debug_port} is invalid: whoever reaches the port runs code, so it is for "
                "development only; expected RELOAD=1 beside it, as bin/dev --debug sets it"
            )
        if self.redis_url is None and "redis" not in self.programs:
            raise ValueError(
                f"PROGRAMS={','.join(self.programs)} is invalid: without the program redis, REDIS_URL must be set"
            )
        return self

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        if self.api_token and self.api_token.get_secret_value() in self.named_tokens.values():
            raise ValueError(
                "API_TOKENS=****** is invalid: one of its tokens is the API_TOKEN as well; "
                "expected a token of its own for each, since a token says who its client is"
            )
        if self.ops_read_token and not self.ops_token:
            raise ValueError(
                "OPS_READ_TOKEN=****** is invalid: the operations page is closed without an OPS_TOKEN; expected both"
            )
        if self.ops_token and self.ops_token == self.ops_read_token:
            raise ValueError(
                "OPS_READ_TOKEN=****** is invalid: it is the OPS_TOKEN as well, so it would not be for looking only; "
                "expected another one"
            )
        return self

    @property
    def redis_dsn(self) -> str:
        """The URL of the Redis in use, with its password: never log it."""
        return self.redis_url.get_secret_value() if self.redis_url else EMBEDDED_REDIS_URL

    @property
    def redis_services(self) -> list[tuple[str, int]]:
        """Hosts and ports that REDIS_URL names: of Redis, or of its Sentinels."""
        if address := sentinel.parse(self.redis_dsn):
            return address.sentinels
        parts = urlsplit(self.redis_dsn)
        return [(parts.hostname, parts.port or 6379)] if parts.hostname else []

    @property
    def named_tokens(self) -> dict[str, str]:
        """The tokens of API_TOKENS by their names: never log them."""
        return values.named_tokens(self.api_tokens.get_secret_value()) if self.api_tokens else {}

    @property
    def asks_for_token(self) -> bool:
        """Whether the API requires a token."""
        return self.api_token is not None or bool(self.named_tokens)

    @property
    def has_redis(self) -> bool:
        """Whether there is a Redis to connect to: on a developer's machine there may be none."""
        return self.redis_url is not None or Path(EMBEDDED_REDIS_URL.removeprefix("unix://")).exists()

    @property
    def started_programs(self) -> tuple[str, ...]:
        """The programs that supervisor starts in this container.

        The embedded Redis only without REDIS_URL, and workers only if senders do not handle messages themselves.
        With `web` also `proxy`, and with the program that handles messages also `init`.
        """
        left_out = {"redis"} if self.redis_url else set()
        if self.queue_transport == "sync":
            left_out.add("worker")
        started = tuple(name for name in PROGRAMS if name in self.programs and name not in left_out)
        if "web" in started:
            started = (*started, "proxy")
        if self.reload:
            started = (*started, "reload")
        handling = "web" if self.queue_transport == "sync" else "worker"
        return (*started, "init") if handling in started else started

    @property
    def stop_seconds(self) -> tuple[int, int]:
        """How long Tandem's own programs may take to stop, and how long a stop waits at most."""
        return self.worker_stop_seconds + OTHER_GROUPS_SECONDS, self.stop_grace_period

    @property
    def dedicated_queues(self) -> tuple[str, ...]:
        """The queue of each dedicated worker process, in the order of their numbers."""
        parts = [part.split("=") for part in self.worker_dedicated]
        return tuple(queue for queue, count in parts for _ in range(int(count)))

    @property
    def worker_processes(self) -> int:
        """The number of worker processes, including the dedicated ones."""
        return self.workers + len(self.dedicated_queues)

    def queues_of_worker(self, number: int) -> tuple[str, ...]:
        """Return the queues of the worker process with this number (empty: all); the dedicated ones come last."""
        dedicated = self.dedicated_queues[number - self.workers :] if number >= self.workers else ()
        return dedicated[:1] or self.worker_queues

    @property
    def drain_timeout(self) -> int:
        """How long a stopping worker waits for its running messages, in seconds."""
        return self.message_time_limit + DRAIN_MARGIN

    @property
    def worker_stop_seconds(self) -> int:
        """How long supervisor waits for a stopping worker before it kills it, in seconds (stopwaitsecs)."""
        return self.drain_timeout + KILL_MARGIN


def _is_redis_url(text: str) -> bool:
    if sentinel.is_url(text):
        return sentinel.parse(text) is not None
    if text.startswith("unix://"):
        return text.startswith("unix:///") and not set("?#") & set(text)
    try:
        url = _REDIS_URL.validate_python(text)
    except ValidationError:
        return False
    # An unescaped # in a password ends the URL there, and the rest of the password is parsed as a port or lost.
    database = (url.path or "").strip("/")
    options = {name for name, _ in url.query_params()}
    return url.fragment is None and (not database or database.isdigit()) and options <= _REDIS_OPTIONS


def current() -> Settings:
    """Return the platform's settings of this process. Raises SettingsError."""
    return Settings.current()


def reset() -> None:
    """Make all settings be read from the environment again, for tests."""
    reset_current()
