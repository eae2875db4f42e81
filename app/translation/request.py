"""What a client may ask for: the body of POST /translations, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.settings import is_model_name
from app.translation.languages import LANGUAGES

Format = Literal["text", "markdown", "srt", "json"]

# Terms of a glossary, and characters of each side of one.
MAX_TERMS = 500
MAX_TERM = 200
# A body can have any number of unknown fields.
MAX_TOLD = 5
_CODES = ", ".join(LANGUAGES)


class NotAllowed(Exception):
    """A request that cannot be served; the text says what is wrong and what is allowed."""


class NotJson(NotAllowed):
    """A body that is no JSON at all."""


class TooLong(NotAllowed):
    """A text over the limit."""


class TranslationRequest(BaseModel):
    """What is asked for: `text` in the language `target`.

    format: what kind of text it is, which says what of it stays as it is. glossary: terms of the text, each with its
    translation. callback_url: gets the result when it has ended.
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
            raise ValueError("is blank: give the text that is to be translated")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("is not valid Unicode: give a text in UTF-8") from None
        return value

    @field_validator("target", "source")
    @classmethod
    def _known_language(cls, value: str | None) -> str | None:
        if value is not None and value not in LANGUAGES:
            raise ValueError(f"{value[:40]!r} is not a known language: give one of {_CODES}")
        return value

    @field_validator("model")
    @classmethod
    def _model_name(cls, value: str | None) -> str | None:
        if value is not None and not is_model_name(value):
            raise ValueError("is not a model's name: give one as Ollama lists it, such as gemma3:4b")
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
    """Reads a JSON body. Raises NotJson, TooLong (over `max_chars` characters) or NotAllowed."""
    return _checked(lambda: TranslationRequest.model_validate_json(body), max_chars)


def check(fields: dict[str, Any], *, max_chars: int) -> TranslationRequest:
    """Checks fields that were given one by one. Raises TooLong or NotAllowed."""
    return _checked(lambda: TranslationRequest.model_validate(fields), max_chars)


def _checked(validate: Callable[[], TranslationRequest], max_chars: int) -> TranslationRequest:
    try:
        request = validate()
    except ValidationError as error:
        problems = error.errors(include_url=False)
        if any(problem["type"] == "json_invalid" for problem in problems):
            raise NotJson("the body is not valid JSON: send an object with text and target") from error
        raise NotAllowed(_sentences(problems)) from error
    if len(request.text) > max_chars:
        raise TooLong(f"text has {len(request.text):,} characters: at most {max_chars:,} are allowed")
    return request


_WORDS = {
    "missing": "is missing: it is required",
    "string_type": "must be a string",
    "extra_forbidden": f"is not a known field: {', '.join(TranslationRequest.model_fields)} are",
    "literal_error": f"is not a known format: give one of {', '.join(get_args(Format))}",
    "dict_type": "must be an object",
    "model_type": "the body must be a JSON object with text and target",
}


def _sentences(problems: Sequence[Mapping[str, object]]) -> str:
    told = [_sentence(dict(problem)) for problem in problems[:MAX_TOLD]]
    more = len(problems) - len(told)
    return "; ".join([*told, *([f"and {more} more"] if more else [])])


def _sentence(problem: dict[str, object]) -> str:
    where = ".".join(map(str, problem["loc"])) if isinstance(problem["loc"], tuple) else ""
    kind = str(problem["type"])
    what = _WORDS.get(kind) or str(problem["msg"]).removeprefix("Value error, ")
    return f"{where[:40]} {what}".strip()
