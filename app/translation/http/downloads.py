"""GET /translations/<id>/source and /result: both texts as files."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort

from app.translation.http import files, owned
from app.translation.store import Translation


def register(routes: Blueprint) -> None:
    """Add both routes."""

    @routes.get("/translations/<uuid:translation_id>/source")
    def source(translation_id: UUID) -> Response:
        translation = owned.find(translation_id)
        if translation.ended and not translation.text:
            abort(410, "the source is gone: it was deleted when the translation was cancelled or removed")
        name = files.source_name(translation.file_name, translation.id, translation.format)
        return _file(translation.text, translation, name)

    @routes.get("/translations/<uuid:translation_id>/result")
    def result(translation_id: UUID) -> Response:
        translation = owned.find(translation_id)
        if not translation.ended:
            abort(409, f"the translation is not done yet: it is {translation.status}")
        if translation.translation is None:
            abort(410, f"the translation has no result: it is {translation.status}")
        name = files.result_name(
            translation.file_name,
            translation.id,
            translation.format,
            source=translation.source,
            target=translation.target,
        )
        return _file(translation.translation, translation, name)


def _file(text: str, translation: Translation, name: str) -> Response:
    response = Response(text.encode(), content_type=files.TYPES[translation.format])
    response.headers["Content-Disposition"] = files.disposition(name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
