"""Settings of the translation: the model, limits of what is accepted and stored, and callbacks."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from tandem import Settings, SettingsBase, fields, values

# The value of OLLAMA_MODELS for every model of the server.
ANY_MODEL = "*"
# The prefix of a base64 key in the Standard Webhooks specification.
KEY_PREFIX = "whsec_"
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class TranslationSettings(SettingsBase):
    """The environment variables of the translation."""

    headings: ClassVar = {
        "ollama_url": "translation: the model",
        "translation_max_chars": "translation: limits and storage",
        "callback_secret": "translation: callbacks",
    }
    compose_variables: ClassVar = {
        "OLLAMA_VERSION": (
            "latest",
            "With compose.ollama.yaml: the version of Ollama's image, and how many requests it answers concurrently.",
        ),
        "OLLAMA_NUM_PARALLEL": ("2", ""),
    }

    ollama_url: str = fields.text(
        "http://model:11434",
        "http://HOST[:PORT] or https://HOST[:PORT] without a path such as /v1 or /api",
        "The offline model of compose.yaml. For an Ollama on this host: http://host.docker.internal:11434; start it "
        "with OLLAMA_HOST=0.0.0.0, because by default it listens on 127.0.0.1 only. Without a path such as /v1.",
    )
    ollama_model: str = fields.text("apertium", "a model name as listed by Ollama", "")
    ollama_timeout: int = fields.number(
        180,
        1,
        86_400,
        "Maximum silence of one call, in seconds: it includes reading the prompt, but not loading the model or "
        "waiting for other calls. Below MESSAGE_TIME_LIMIT.",
    )
    ollama_patience: int = fields.number(
        3600,
        0,
        604_800,
        "How long a translation waits, in seconds, for a model that is unreachable, loading, being pulled or busy, "
        "without using up a retry. Time during a pull does not count. 0: it does not wait; such failures are retried "
        "as any other.",
    )
    ollama_concurrency: int = fields.number(
        4,
        1,
        1000,
        "Concurrent calls over all workers and containers on one Redis. Calls beyond those that Ollama answers in "
        "parallel (OLLAMA_NUM_PARALLEL) wait there; this does not count for OLLAMA_TIMEOUT while others are answered.",
    )
    ollama_num_ctx: int = fields.number(
        4096, 1024, 1_048_576, "Context length in tokens. Ollama reloads the model when it changes."
    )
    ollama_models: tuple[str, ...] = fields.names(
        (),
        "model names separated by commas, or * for all models of Ollama",
        "Further models that requests may name, separated by commas; *: all models of Ollama.",
    )
    ollama_pull: bool = fields.switch(
        False,
        "1: pull missing models at the start; the log, /readyz and the page show the progress.",
    )
    translation_max_chars: int = fields.number(
        1_000_000,
        1,
        10_000_000,
        "Maximum length of a text, in characters: BODY_LIMIT needs 12 bytes for each. How many seconds an ended "
        "translation is stored.",
    )
    translation_retention: int = fields.number(604_800, 60, 31_536_000, "")
    translation_max_parts: int = fields.number(
        20_000,
        1,
        1_000_000,
        "Maximum parts (paragraphs, list items, cells, subtitles) of a text; a text with more is refused with 422.",
    )
    translation_store: int = fields.size(
        "128M",
        "Maximum memory (K, M or G) for stored translations: texts, glossaries, finished parts and results. Above it, "
        "POST answers 503 with Retry-After. Keep it well below REDIS_MAXMEMORY. 0: no limit.",
    )
    translation_cache: int = fields.size(
        "32M",
        "Maximum memory (K, M or G) for the cache of finished parts, which saves translating the same part again. 0: "
        "no cache.",
    )
    callback_secret: SecretStr | None = fields.text(
        None,
        "16 to 256 visible ASCII characters, whsec_ followed by base64, or empty for no callbacks",
        "Secret that signs callbacks (text, or whsec_ followed by base64); without it, no callback_url is accepted. "
        "CALLBACK_PRIVATE=1 allows callbacks into private networks.",
    )
    callback_private: bool = fields.switch(False, "")
    callback_ports: tuple[str, ...] = fields.names(
        ("80", "443", "8000-9000"),
        "ports and port ranges separated by commas",
        "Allowed ports of a callback_url.",
    )

    @field_validator("ollama_url")
    @classmethod
    def _http_scheme(cls, value: str) -> str:
        # Requests go to /api/… of the server; below a path such as /v1 each of them would be a 404.
        fits = fields.is_http_url(value) and "?" not in value and not urlsplit(value).path.strip("/")
        return fields.require(value.rstrip("/"), fits)

    @field_validator("ollama_model")
    @classmethod
    def _names_a_model(cls, value: str) -> str:
        return fields.require(value, is_model_name(value))

    @field_validator("ollama_models")
    @classmethod
    def _names_models(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return fields.require(value, value == (ANY_MODEL,) or all(is_model_name(name) for name in value))

    @field_validator("callback_ports")
    @classmethod
    def _are_ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return fields.require(value, bool(values.ports(value)))

    @field_validator("callback_secret")
    @classmethod
    def _can_sign(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            values.token(value.get_secret_value())
        secret = value.get_secret_value() if value else ""
        return fields.require(value, not secret.startswith(KEY_PREFIX) or _is_base64(secret.removeprefix(KEY_PREFIX)))

    def conflicts(self, platform: Settings) -> Iterator[str]:
        """Yield an error if a call could last longer than its message."""
        if self.ollama_timeout >= platform.message_time_limit:
            yield (
                f"OLLAMA_TIMEOUT={self.ollama_timeout} is invalid: a call has to end before its message; "
                f"expected less than MESSAGE_TIME_LIMIT={platform.message_time_limit}"
            )

    @property
    def ollama_name(self) -> str:
        """Return Ollama's URL without a password, for display."""
        return fields.without_credentials(self.ollama_url)

    @property
    def callback_ranges(self) -> tuple[range, ...]:
        """Return the ports of CALLBACK_PORTS."""
        return values.ports(self.callback_ports)


def is_model_name(name: str) -> bool:
    """Return whether this is a valid model name."""
    return bool(_MODEL_NAME.fullmatch(name))


def _is_base64(encoded: str) -> bool:
    try:
        return bool(b64decode(encoded, validate=True))
    except ValueError:
        return False
