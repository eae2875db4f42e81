"""POST /translations, with JSON or a file, and GET of one."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, request, url_for
from werkzeug.exceptions import TooManyRequests

from app.queueing.submission import QueueFull
from app.settings import Settings
from app.translation import actors
from app.translation.http import files
from app.translation.request import NotAllowed, NotJson, TooLong, TranslationRequest, parse
from app.translation.submit import BadKey, check_key, submit

# The longest form of a character in JSON is a pair of \uXXXX escapes.
BYTES_PER_CHARACTER = 12
# In a file it is UTF-8's or UTF-16's.
BYTES_PER_CHARACTER_IN_FILE = 4
BODY_OVERHEAD = 65_536

_STATUS = {NotJson: 400, BadKey: 400, TooLong: 413}
# A full queue of translations empties slowly.
RETRY_AFTER_SECONDS = 10


def _asked(max_chars: int) -> tuple[TranslationRequest, str | None]:
    """What the body asks for, and the name of the file in it. Raises NotAllowed."""
    if request.mimetype == "application/json":
        return parse(_body(max_chars), max_chars=max_chars), None
    if request.mimetype != "multipart/form-data":
        abort(415, "the content type must be application/json, or multipart/form-data with a file")
    request.max_content_length = max_chars * BYTES_PER_CHARACTER_IN_FILE + files.MAX_FIELD_BYTES + BODY_OVERHEAD
    request.max_form_memory_size = files.MAX_FIELD_BYTES
    request.max_form_parts = files.MAX_PARTS
    return files.read_form(request.form, request.files, max_chars=max_chars)


def _body(max_chars: int) -> bytes:
    """The whole body, long enough for a text of `max_chars`.

    Without a Content-Length werkzeug cuts one that is too long off instead of refusing it.
    """
    longest = request.max_content_length = max_chars * BYTES_PER_CHARACTER + BODY_OVERHEAD
    body = request.get_data()
    if request.content_length is None and len(body) >= longest:
        abort(413)
    return body


def register(routes: Blueprint, settings: Settings) -> None:
    """Adds both routes."""

    @routes.post("/translations")
    def create() -> tuple[Response, int, dict[str, str]]:
        try:
            key = check_key(request.headers.get("Idempotency-Key"))
            asked, file_name = _asked(settings.translation_max_chars)
            translation = submit(asked, settings, file_name=file_name, idempotency_key=key)
        except NotAllowed as error:
            abort(_STATUS.get(type(error), 422), str(error))
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
