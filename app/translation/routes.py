"""The routes of translations: ask for one, look at it, and the page that does both."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, render_template, request, url_for
from werkzeug.exceptions import TooManyRequests

from app.api.access import open_to_all
from app.queueing.submission import QueueFull
from app.settings import Settings
from app.translation import actors, events, listing
from app.translation.detection import Unsure
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed, NotJson, TooLong, parse
from app.translation.submit import BadKey, OtherRequest, check_key, submit

# The longest form of a character in JSON is a pair of \uXXXX escapes.
BYTES_PER_CHARACTER = 12
BODY_OVERHEAD = 65_536

_STATUS = {NotJson: 400, BadKey: 400, TooLong: 413, NotAllowed: 422, OtherRequest: 422, Unsure: 422}
# A full queue of translations empties slowly.
RETRY_AFTER_SECONDS = 10


def _body(max_chars: int) -> bytes:
    """The whole body, long enough for a text of `max_chars`.

    Without a Content-Length werkzeug cuts one that is too long off instead of refusing it.
    """
    longest = request.max_content_length = max_chars * BYTES_PER_CHARACTER + BODY_OVERHEAD
    body = request.get_data()
    if request.content_length is None and len(body) >= longest:
        abort(413)
    return body


def make_blueprint(settings: Settings) -> Blueprint:
    """POST and GET /translations, GET and DELETE /translations/<id>, and the page at /."""
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
            key = check_key(request.headers.get("Idempotency-Key"))
            asked = parse(_body(settings.translation_max_chars), max_chars=settings.translation_max_chars)
            translation = submit(asked, settings, idempotency_key=key)
        except NotAllowed as error:
            abort(_STATUS[type(error)], str(error))
        except QueueFull as error:
            raise TooManyRequests(str(error), retry_after=RETRY_AFTER_SECONDS) from error
        location = url_for("translation.show", translation_id=translation.id)
        return jsonify(translation.public()), 202, {"Location": location}

    @routes.get("/translations/<uuid:translation_id>")
    def show(translation_id: UUID) -> Response:
        translation = actors.store().get(str(translation_id))
        if translation is None:
            abort(404, f"there is no translation {translation_id}: it never was, or it was kept long enough")
        return jsonify(translation.public())

    events.add_to(routes)

    @routes.get("/")
    @open_to_all
    def page() -> str:
        return render_template(
            "translate.html",
            languages=LANGUAGES,
            model=settings.ollama_model,
            limit=settings.translation_max_chars,
        )

    listing.register(routes)
    return routes
