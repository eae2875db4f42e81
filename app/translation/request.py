"""Parse and validate the body of POST /translations."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.translation.languages import LANGUAGES
from app.translation.settings import is_model_name

Format = Literal["text", "markdown", "srt", "vtt", "json", "po", "properties", "strings"]

# Terms of a glossary, and characters of each side of one.
MAX_TERMS = 500
MAX_TERM = 200
# Maximum problems in an error: a body can have any number of unknown fields.
MAX_REPORTED = 5
_CODES = ", ".join(LANGUAGES)


class NotAllowed(Exception):
    """The request cannot be served; the message says what is wrong and what is expected."""


class NotJson(NotAllowed):
    """The body is not JSON."""


class TooLong(NotAllowed):
    """The text exceeds the limit."""


class TranslationRequest(BaseModel):
    """A request to translate `text` into the language `target`.

    format: the kind of text, which determines the parts that stay unchanged. glossary: terms of the text, each with its
    translation. callback_url: receives the translation when it has ended.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    target: str
    source: str | None = None
    model: str | None = None
    format: Format = "text"
    glossary: dict[str, str] = Field(default_factory=dict)
    callback_url: str | None = None

    @field_validator("text")
    @classmethod
    def _has_words(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is blank: expected a text to translate")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("is not valid Unicode: expected UTF-8") from None
        return value

    @field_validator("target", "source")
    @classmethod
    def _known_language(cls, value: str | None) -> str | None:
        if value is not None and value not in LANGUAGES:
            raise ValueError(f"{value[:40]!r} is not a supported language: expected one of {_CODES}")
        return value

    @field_validator("model")
    @classmethod
    def _model_name(cls, value: str | None) -> str | None:
        if value is not None and not is_model_name(value):
            raise ValueError("is not a model name: expected a name as listed by Ollama, such as gemma3:4b")
        return value

    @field_validator("glossary")
    @classmethod
    def _small_glossary(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > MAX_TERMS:
            raise ValueError(f"has {len(value):,} terms: at most {MAX_TERMS} are allowed")
        if any(not 0 < len(text.strip()) <= len(text) <= MAX_TERM for pair in value.items() for text in pair):
            raise ValueError(f"has a term or a translation that is blank or longer than {MAX_TERM} characters")
        return value

    @model_validator(mode="after")
    def _two_languages(self) -> TranslationRequest:
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.target!r}: give two different languages")
        return self


def parse(body: bytes, *, max_chars: int) -> TranslationRequest:
    """Parse a JSON body in UTF-8, with or without a byte order mark.

    Raises NotJson, TooLong (over `max_chars` characters) or NotAllowed.
    """
    # RFC 8259 allows a parser to skip the mark, which Windows programs write.
    content = body.removeprefix(codecs.BOM_UTF8)
    try:
        return _checked(lambda: TranslationRequest.model_validate_json(content), max_chars)
    except NotJson:
        _require_utf8(body)
        raise


def _require_utf8(body: bytes) -> None:
    """Raise NotJson with the position of the first invalid byte if the body is not UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8 (byte {error.start + 1:,} is invalid): send JSON in UTF-8") from None


def check(fields: dict[str, Any], *, max_chars: int) -> TranslationRequest:
    """Validate fields given one by one. Raises TooLong or NotAllowed."""
    return _checked(lambda: TranslationRequest.model_validate(fields), max_chars)


def _checked(validate: Callable[[], TranslationRequest], max_chars: int) -> TranslationRequest:
    try:
        request = validate()
    except ValidationError as error:
        problems = error.errors(include_url=False)
        for problem in problems:
            if problem["type"] == "json_invalid":
                raise NotJson(_not_json(str(problem["ctx"]["error"]))) from error
        raise NotAllowed(_sentences(problems)) from error
    if len(request.text) > max_chars:
        raise TooLong(f"text has {len(request.text):,} characters: at most {max_chars:,} are allowed")
    return request


def _not_json(reason: str) -> str:
    what, _, place = reason.rpartition(" at ")
    return f"the body is not valid JSON ({place}: {what}): send an object with text and target"


_WORDS = {
    "missing": "is missing: it is required",
    "string_type": "must be a string",
    "extra_forbidden": f"is not a known field: expected {', '.join(TranslationRequest.model_fields)}",
    "literal_error": f"is not a known format: expected one of {', '.join(get_args(Format))}",
    "dict_type": "must be an object",
    "model_type": "the body must be a JSON object with text and target",
}


def _sentences(problems: Sequence[Mapping[str, object]]) -> str:
    reported = [_sentence(dict(problem)) for problem in problems[:MAX_REPORTED]]
    more = len(problems) - len(reported)
    return "; ".join([*reported, *([f"and {more} more"] if more else [])])


def _sentence(problem: dict[str, object]) -> str:
    where = ".".join(map(str, problem["loc"])) if isinstance(problem["loc"], tuple) else ""
    kind = str(problem["type"])
    what = _WORDS.get(kind) or str(problem["msg"]).removeprefix("Value error, ")
    return f"{where[:40]} {what}".strip()
