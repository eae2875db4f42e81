"""The OpenAPI description of the translation routes."""

from __future__ import annotations

from typing import Any, get_args

from app.translation.http.answers import Models, TranslationAnswer, TranslationList, TranslationState
from app.translation.http.files import FORM_FIELDS, TYPES
from app.translation.http.listing import DEFAULT_LIMIT, MAX_LIMIT
from app.translation.languages import LANGUAGES
from app.translation.models import configured
from app.translation.request import MAX_TERM, MAX_TERMS, Format, TranslationRequest
from app.translation.settings import ANY_MODEL, TranslationSettings
from tandem.openapi import Api, Json, answer, header, in_header, in_path, in_query, media, operation, problem, schema

_ID = "ae577c8a-6f0d-4c2b-9a51-0f3d5f9f6f0e"
_CURSOR = "MTc2Mzc5NzQzMzA1NzphZTU3N2M4YS02ZjBkLTRjMmItOWE1MS0wZjNkNWY5ZjZmMGU"
_SUMMARY: Json = {
    "id": _ID,
    "status": "queued",
    "progress": {"done": 0, "total": 0, "characters": 0},
    "error": None,
    "source": "en",
    "source_detected": False,
    "target": "es",
    "model": "apertium",
    "format": "text",
    "file_name": None,
    "created_at": "2026-11-22T07:43:53.057Z",
    "started_at": None,
    "finished_at": None,
}
_QUEUED = _SUMMARY | {"translation": None, "problems": [], "untranslated": []}
_DONE = _QUEUED | {
    "status": "done",
    "progress": {"done": 1, "total": 1, "characters": 0},
    "started_at": "2026-11-22T07:43:53.061Z",
    "finished_at": "2026-11-22T07:43:53.254Z",
    "translation": "Buenos días.",
}
_CANCELLED = _QUEUED | {"status": "cancelled", "finished_at": "2026-11-22T07:43:54.310Z"}

_WAIT = {"Retry-After": header("Seconds after which to try again.", {"type": "integer", "minimum": 1}, example=10)}
_LOCATION = header(
    "The URL of the translation.", {"type": "string", "format": "uri-reference"}, example=f"/translations/{_ID}"
)
_LINK = {"Link": header("The next page, if any.", {"type": "string"}) | {"required": False}}
_THIS = in_path("id", "the translation's id", {"type": "string", "format": "uuid"}, example=_ID)
_KEY = in_header(
    "Idempotency-Key",
    "A unique name of this request, such as a UUID. The same body sent again with the same key within a day starts "
    "no new translation; the response is the first translation in its current state.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    example="5c1f7d0e-3b0a-4a57-8a5e-7d2f1c9b6a10",
)
# itemSchema in OpenAPI 3.2. As the schema of the whole response, which is text, it made clients parse it as JSON.
_EVENT: Json = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"enum": ["progress", "end"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": schema(TranslationState),
        },
    },
    "required": ["id", "event", "data"],
}
_NULL: Json = {"type": "null"}
_GONE = problem(404, f"translation {_ID} not found: it does not exist or has expired")


def describe(settings: TranslationSettings) -> Api:
    """Describe all routes except the page."""
    return Api(
        paths={
            "/translations": {"post": _create(settings), "get": _list()},
            "/translations/{id}": {"parameters": [_THIS], "get": _show(), "delete": _cancel()},
            "/translations/{id}/events": {"parameters": [_THIS], "get": _events()},
            "/models": {"get": _models()},
            "/translations/{id}/source": {"parameters": [_THIS], "get": _source()},
            "/translations/{id}/result": {"parameters": [_THIS], "get": _result()},
        },
        models=(TranslationRequest, TranslationAnswer, TranslationList, TranslationState, Models),
        tags={"translations": "Texts translated by the workers."},
        schemas={"TranslationRequest": _bounds(settings)},
    )


def _bounds(settings: TranslationSettings) -> Json:
    """Express the validators of TranslationRequest in JSON Schema."""
    term = {"type": "string", "minLength": 1, "maxLength": MAX_TERM, "pattern": r"\S"}
    language = {"type": "string", "enum": list(LANGUAGES)}
    return {
        "properties": {
            "text": {"minLength": 1, "maxLength": settings.translation_max_chars, "pattern": r"\S"},
            "target": language,
            "source": {"anyOf": [language, _NULL], "description": "detected if omitted"},
            "model": {
                "anyOf": [_model_names(settings), _NULL],
                "description": f"{settings.ollama_model} if omitted",
            },
            "callback_url": _callback_url(settings),
            "glossary": {"maxProperties": MAX_TERMS, "propertyNames": term, "additionalProperties": term},
        },
        "examples": [{"text": "Good morning.", "source": "en", "target": "es"}],
    }


def _form(settings: TranslationSettings) -> Json:
    """Describe the same fields as a form, with a file in place of the text."""
    text: Json = {"type": "string"}
    language = text | {"enum": list(LANGUAGES)}
    known = {
        "target": language,
        "source": language | {"description": "detected if omitted"},
        "model": _model_names(settings) | {"description": f"{settings.ollama_model} if omitted"},
        "format": text | {"enum": list(get_args(Format)), "description": "known from the file's name if omitted"},
        "glossary": text | {"contentMediaType": "application/json", "description": "a JSON object"},
    }
    # OpenAPI 3.1 uses contentMediaType for a file; client generators still expect `format` of 3.0.
    file = text | {
        "format": "binary",
        "contentMediaType": "application/octet-stream",
        "description": "in UTF-8, or in UTF-16 with a byte order mark",
    }
    return {
        "type": "object",
        "properties": {"file": file, **{name: known.get(name, text) for name in FORM_FIELDS}},
        "required": ["file", "target"],
        "additionalProperties": False,
    }


def _model_names(settings: TranslationSettings) -> Json:
    any_other = ANY_MODEL in settings.ollama_models
    return {"type": "string"} | ({} if any_other else {"enum": list(configured(settings))})


def _callback_url(settings: TranslationSettings) -> Json:
    if settings.callback_secret is None:
        return {"anyOf": [_NULL], "description": "not accepted: CALLBACK_SECRET is not set"}
    url = {"type": "string", "format": "uri", "pattern": "^https?://"}
    return {"anyOf": [url, _NULL], "description": "receives a signed POST of the translation when it has ended"}


def _create(settings: TranslationSettings) -> Json:
    content = {
        "application/json": media(schema(TranslationRequest)),
        "multipart/form-data": media(_form(settings), example={"file": "@guide.md", "target": "es"}),
    }
    body = {"required": True, "content": content}
    return operation(
        "createTranslation",
        "Create a translation",
        {
            202: answer(
                "The translation is queued.", TranslationAnswer, example=_QUEUED, headers={"Location": _LOCATION}
            )
            | {"links": _links()},
            400: problem(
                400, "the body is not valid JSON (line 2 column 6: trailing comma): send an object with text and target"
            ),
            408: problem(408, "the request was sent too slowly: send it faster"),
            413: problem(413, "text has 1,000,001 characters: at most 1,000,000 are allowed"),
            415: problem(415, "the content type must be application/json, or multipart/form-data with a file"),
            422: problem(422, "target 'xx' is not a supported language: expected one of af, ar, …"),
            429: problem(
                429,
                "the queue is full: 10,000 messages are waiting; try again when some have been handled",
                headers=_WAIT,
            ),
        },
        description="The translation is stored and completed even if the responding process dies. A file is sent as a "
        "form with the same fields; its format follows from its name, its content type or the field `format`.",
        tag="translations",
        parameters=[_KEY],
        body=body,
    )


def _links() -> dict[str, Any]:
    """Return the links to the operations on the created translation."""
    return {
        name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
        for name in ("readTranslation", "readSource", "readResult", "cancelTranslation")
    }


def _list() -> Json:
    size = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    cursor = {"type": "string", "pattern": "^[A-Za-z0-9_-]{67}$"}
    example = {"translations": [_SUMMARY], "next": None}
    return operation(
        "listTranslations",
        "List the newest translations",
        {
            200: answer("A page of translations.", TranslationList, example=example, headers=_LINK),
            422: problem(422, f"limit must be a whole number from 1 to {MAX_LIMIT}"),
        },
        tag="translations",
        parameters=[
            in_query("limit", "maximum number of translations", size, example=DEFAULT_LIMIT),
            in_query("after", "`next` of the previous page", cursor),
        ],
    )


def _show() -> Json:
    return operation(
        "readTranslation",
        "Get a translation",
        {200: answer("The translation in its current state.", TranslationAnswer, example=_DONE), 404: _GONE},
        tag="translations",
    )


def _events() -> Json:
    seen = in_header(
        "Last-Event-ID",
        "the `id` of the last event received, as browsers send it when they reconnect",
        {"type": "string"},
        example="3",
    )
    return operation(
        "followTranslation",
        "Follow a translation",
        {
            200: {
                "description": "Server-sent events, as text, until the translation ends; x-itemSchema describes one.",
                "content": {"text/event-stream": media({"type": "string"}) | {"x-itemSchema": _EVENT}},
            },
            204: answer("The last event was received already."),
            404: _GONE,
            503: problem(
                503,
                "too many event streams: this process already serves 500 (EVENT_READERS), try again later",
                headers=_WAIT,
            ),
        },
        description="The events are named `progress`, the last one `end`; `id` is the version of the translation, and "
        "`data` the JSON of a TranslationState. A comment is sent every 15 seconds.",
        tag="translations",
        parameters=[seen],
    )


def _models() -> Json:
    example = {
        "default": "apertium",
        "models": [{"name": "apertium", "available": True, "default": True}],
        "languages": {"en": "English", "es": "Spanish"},
        "pull": None,
    }
    return operation(
        "listModels",
        "List the models and languages that a request may name",
        {200: answer("All models and languages.", Models, example=example)},
        tag="translations",
    )


def _source() -> Json:
    return operation(
        "readSource",
        "Get the source as a file",
        {
            200: _file("The file as it was sent, or the text as a file.", "guide.md"),
            404: _GONE,
            410: problem(410, "the source is gone: it was deleted when the translation was cancelled or removed"),
        },
        tag="translations",
    )


def _result() -> Json:
    return operation(
        "readResult",
        "Get the translation as a file",
        {
            200: _file("A file of the same kind, with the language in its name.", "guide.es.md"),
            404: _GONE,
            409: problem(409, "the translation is not done yet: it is running"),
            410: problem(410, "the translation has no result: it is failed"),
        },
        tag="translations",
    )


def _file(sentence: str, name: str) -> Json:
    """Describe a download in any format."""
    saved_as = header("The file's name.", {"type": "string"}, example=f'attachment; filename="{name}"')
    content = {type_: media({"type": "string"} if format != "json" else {}) for format, type_ in TYPES.items()}
    return {"description": sentence, "headers": {"Content-Disposition": saved_as}, "content": content}


def _cancel() -> Json:
    return operation(
        "cancelTranslation",
        "Cancel a translation",
        {
            202: answer("Translation cancelled.", TranslationAnswer, example=_CANCELLED),
            404: _GONE,
            409: problem(409, "the translation has ended already: it is done"),
        },
        tag="translations",
    )
