"""Response models of the translation routes: the JSON of Translation.public() and similar methods."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.translation.request import Format
from app.translation.store import Status

_TIME: JsonDict = {"format": "date-time"}


class _Answer(BaseModel):
    # Clients must accept fields of later versions, so the schema does not forbid other fields; tests do.
    model_config = ConfigDict(strict=True)


class Progress(_Answer):
    """Finished parts, total parts (0 before the first run), and characters received for the part in progress."""

    done: int = Field(ge=0)
    total: int = Field(ge=0)
    characters: int = Field(ge=0)


class TranslationState(_Answer):
    """The status and progress of a translation: the data of its events."""

    status: Status
    progress: Progress
    error: str | None = Field(description="why it is `failed`, why the last attempt failed, or what it waits for")


class TranslationSummary(TranslationState):
    """A translation without its texts."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    source: str | None = Field(description="the language of the text, as given or detected")
    source_detected: bool = Field(description="whether `source` was detected")
    target: str
    model: str
    format: Format
    file_name: str | None
    created_at: str = Field(json_schema_extra=_TIME)
    started_at: str | None = Field(description="the time of its last start")
    finished_at: str | None


class PartProblem(_Answer):
    """A problem of a part of a finished translation."""

    part: int = Field(ge=0)
    kind: str = Field(
        description="placeholders, empty, echo, preamble, length, loop, context, truncated, unfinished, glossary "
        "or unicode; more may come"
    )
    detail: str
    kept: Literal["source", "answer"] = Field(
        description="whether the result contains the source of the part or the doubtful answer"
    )
    source: str = Field(description="the beginning of the part's source")


class KeptUntranslated(_Answer):
    """How much of a text stays untranslated on purpose for one reason. Parts without a letter are not counted."""

    why: str = Field(
        description="code, maths, front matter, html, definition, comment, image, message (of ICU or Fluent), address, "
        "placeholder, translated (a message that had a translation); more may come"
    )
    parts: int = Field(ge=1)
    characters: int = Field(ge=1)


class TranslationAnswer(TranslationSummary):
    """A translation. `translation`, `problems` and `untranslated` are set when its status is `done`."""

    translation: str | None
    problems: list[PartProblem]
    untranslated: list[KeptUntranslated] = Field(
        description="the parts of the source that were not translated on purpose"
    )


class ModelInfo(_Answer):
    """A model that a request may name."""

    name: str
    available: bool = Field(description="whether Ollama has it")
    default: bool


class ModelPull(_Answer):
    """The progress of a model's pull, in bytes of the layers known so far."""

    model: str
    status: str
    completed: int = Field(ge=0)
    total: int = Field(ge=0)


class Models(_Answer):
    """The models and languages that a request may name."""

    default: str
    models: list[ModelInfo]
    languages: dict[str, str] = Field(description="names of languages by their codes")
    pull: ModelPull | None = Field(description="the pull in progress, if any")


class TranslationList(_Answer):
    """A page of translations, newest first."""

    translations: list[TranslationSummary]
    next: str | None = Field(description="`after` of the next page, if any")
