"""POST /translations, with JSON or a file, and GET /translations/<id>."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, request, url_for
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

from app.translation.http import files, owned
from app.translation.request import NotAllowed, NotJson, TooLong, TranslationRequest, parse
from app.translation.settings import TranslationSettings
from app.translation.stored import StoreFull
from app.translation.submit import InvalidKey, check_key, submit
from tandem import QueueFull, openapi

# The longest form of a character in JSON is a pair of \uXXXX escapes.
BYTES_PER_CHARACTER = 12
# In a file, a character takes at most four bytes, in UTF-8 and in UTF-16.
BYTES_PER_CHARACTER_IN_FILE = 4
BODY_OVERHEAD = 65_536

_STATUS = {NotJson: 400, InvalidKey: 400, TooLong: 413}
# A full queue of translations drains slowly.
RETRY_AFTER_SECONDS = 10
# The store frees memory when translations expire or are cancelled.
STORE_RETRY_AFTER_SECONDS = 60


def _read_request(max_chars: int) -> tuple[TranslationRequest, str | None]:
    """Read the request in the body, and the name of its file. Raises NotAllowed."""
    if request.mimetype == "application/json":
        return parse(_body(max_chars), max_chars=max_chars), None
    if request.mimetype != "multipart/form-data":
        abort(415, "the content type must be application/json, or multipart/form-data with a file")
    request.max_content_length = max_chars * BYTES_PER_CHARACTER_IN_FILE + files.MAX_FIELD_BYTES + BODY_OVERHEAD
    request.max_form_memory_size = files.MAX_FIELD_BYTES
    request.max_form_parts = files.MAX_PARTS
    return files.read_form(request.form, request.files, max_chars=max_chars)


def _body(max_chars: int) -> bytes:
    """Read the whole body, bounded for a text of `max_chars`.

    Without a Content-Length, werkzeug truncates a body that is too long instead of refusing it.
    """
    longest = request.max_content_length = max_chars * BYTES_PER_CHARACTER + BODY_OVERHEAD
    body = request.get_data()
    if request.content_length is None and len(body) >= longest:
        abort(413)
    return body


def register(routes: Blueprint, settings: TranslationSettings) -> None:
    """Add both routes."""

    @routes.post("/translations")
    def create() -> tuple[Response, int, dict[str, str]]:
        try:
            key = check_key(request.headers.get("Idempotency-Key"))
            asked, file_name = _read_request(settings.translation_max_chars)
            translation = submit(asked, settings, owner=openapi.caller(), file_name=file_name, idempotency_key=key)
        except NotAllowed as error:
            abort(_STATUS.get(type(error), 422), str(error))
        except QueueFull as error:
            raise TooManyRequests(str(error), retry_after=RETRY_AFTER_SECONDS) from error
        except StoreFull as error:
            raise ServiceUnavailable(str(error), retry_after=STORE_RETRY_AFTER_SECONDS) from error
        location = url_for("translation.show", translation_id=translation.id)
        return jsonify(translation.public()), 202, {"Location": location}

    @routes.get("/translations/<uuid:translation_id>")
    def show(translation_id: UUID) -> Response:
        return jsonify(owned.find(translation_id).public())
