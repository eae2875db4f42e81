"""The routes of translations: ask for one, look at it, and the page that does both."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, render_template, request, url_for

from app.settings import Settings
from app.translation import actors
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed, NotJson, TooLong, parse

_STATUS = {NotJson: 400, TooLong: 413, NotAllowed: 422}


def make_blueprint(settings: Settings) -> Blueprint:
    """POST /translations, GET /translations/<id> and the page at /."""
    routes = Blueprint(
        "translation",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static/translation",
    )

    @routes.post("/translations")
    def create() -> tuple[Response, int, dict[str, str]]:
        if request.mimetype != "application/json":
            abort(415, "the content type must be application/json")
        try:
            asked = parse(request.get_data(), max_chars=settings.translation_max_chars)
        except NotAllowed as error:
            abort(_STATUS[type(error)], str(error))
        translation = actors.store().create(asked, model=asked.model or settings.ollama_model)
        try:
            actors.translate.send(translation.id)
        except Exception:
            # Nothing was accepted, so nothing may be left behind; a record that stays all the same expires.
            actors.store().delete(translation.id)
            raise
        location = url_for("translation.show", translation_id=translation.id)
        return jsonify(translation.public()), 202, {"Location": location}

    @routes.get("/translations/<uuid:translation_id>")
    def show(translation_id: UUID) -> Response:
        translation = actors.store().get(str(translation_id))
        if translation is None:
            abort(404, f"there is no translation {translation_id}: it never was, or it was kept long enough")
        return jsonify(translation.public())

    @routes.get("/")
    def page() -> str:
        return render_template(
            "translate.html",
            languages=LANGUAGES,
            model=settings.ollama_model,
            limit=settings.translation_max_chars,
        )

    return routes
