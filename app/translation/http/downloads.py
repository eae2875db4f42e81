"""GET /translations/<id>/source and /result: both texts as files."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort

from app.translation import actors
from app.translation.http import files
from app.translation.store import Translation


def register(routes: Blueprint) -> None:
    """Adds both routes."""

    @routes.get("/translations/<uuid:translation_id>/source")
    def source(translation_id: UUID) -> Response:
        translation = _find(translation_id)
        name = files.source_name(translation.file_name, translation.id, translation.format)
        return _file(translation.text, translation, name)

    @routes.get("/translations/<uuid:translation_id>/result")
    def result(translation_id: UUID) -> Response:
        translation = _find(translation_id)
        if not translation.ended:
            abort(409, f"the translation is not done yet: it is {translation.status}")
        if translation.translation is None:
            abort(410, f"there is no result and there will be none: the translation is {translation.status}")
        name = files.result_name(
            translation.file_name,
            translation.id,
            translation.format,
            source=translation.source,
            target=translation.target,
        )
        return _file(translation.translation, translation, name)


def _find(id: UUID) -> Translation:
    translation = actors.store().get(str(id))
    if translation is None:
        abort(404, f"there is no translation {id}: it never was, or it was kept long enough")
    return translation


def _file(text: str, translation: Translation, name: str) -> Response:
    response = Response(text.encode(), content_type=files.TYPES[translation.format])
    response.headers["Content-Disposition"] = files.disposition(name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
