"""The shapes of what the routes of translations answer: what Translation.public() and its relatives produce."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.translation.request import Format
from app.translation.store import Status

_TIME: JsonDict = {"format": "date-time"}


class _Answer(BaseModel):
    # Clients must be able to meet fields of a later version, so the schema says nothing of others; tests do.
    model_config = ConfigDict(strict=True)


class Progress(_Answer):
    """Finished parts and parts in all (0 before the first run), and what the model has answered of the running one."""

    done: int = Field(ge=0)
    total: int = Field(ge=0)
    characters: int = Field(ge=0)


class TranslationState(_Answer):
    """How far a translation is: the data of its events."""

    status: Status
    progress: Progress
    error: str | None = Field(description="why it is `failed`, or what the last attempt broke at")


class TranslationSummary(TranslationState):
    """A translation without its texts."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    source: str | None = Field(description="the language of the text, as given or found out")
    source_detected: bool = Field(description="whether `source` was found out")
    target: str
    model: str
    format: Format
    file_name: str | None
    created_at: str = Field(json_schema_extra=_TIME)
    started_at: str | None = Field(description="the time of its last start")
    finished_at: str | None


class PartProblem(_Answer):
    """What is wrong with a part of a finished translation."""

    part: int = Field(ge=0)
    kind: str = Field(
        description="placeholders, empty, echo, preamble, length, loop, truncated or unfinished; more may come"
    )
    detail: str
    kept: Literal["source", "answer"] = Field(description="whether its source or the doubtful answer stands there")
    source: str = Field(description="the beginning of the part's source")


class TranslationAnswer(TranslationSummary):
    """A translation. `translation` is there when its status is `done`."""

    translation: str | None
    problems: list[PartProblem]


class ModelInfo(_Answer):
    """A model that a request may name."""

    name: str
    available: bool = Field(description="whether Ollama has it")
    default: bool


class ModelPull(_Answer):
    """How far the pull of a model is, in bytes of the part that is being fetched."""

    model: str
    status: str
    completed: int = Field(ge=0)
    total: int = Field(ge=0)


class Models(_Answer):
    """What a request may name."""

    default: str
    models: list[ModelInfo]
    languages: dict[str, str] = Field(description="names of languages by their codes")
    pull: ModelPull | None = Field(description="the pull under way, if there is one")


class TranslationList(_Answer):
    """A page of translations, the newest first."""

    translations: list[TranslationSummary]
    next: str | None = Field(description="`after` of the next page, if there is one")
