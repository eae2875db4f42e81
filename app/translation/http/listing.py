"""GET /translations: the newest first, page by page. DELETE of one: it is cancelled and stays on the list."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, request, url_for

from app.translation import actors
from app.translation.http import cursor
from app.translation.request import NotAllowed
from app.translation.store import Store

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100


def register(routes: Blueprint) -> None:
    """Adds both routes."""

    @routes.get("/translations", endpoint="listing")
    def show_list() -> tuple[Response, dict[str, str]]:
        try:
            body, headers = page(actors.store(), request.args.get("limit"), request.args.get("after"))
        except NotAllowed as error:
            abort(422, str(error))
        return jsonify(body), headers

    @routes.delete("/translations/<uuid:translation_id>")
    def cancel(translation_id: UUID) -> tuple[Response, int]:
        store = actors.store()
        cancelled = store.cancel(str(translation_id))
        translation = store.get(str(translation_id))
        if translation is None:
            abort(404, f"there is no translation {translation_id}: it never was, or it was kept long enough")
        if not cancelled:
            abort(409, f"the translation has ended already: it is {translation.status}")
        return jsonify(translation.public()), 202


def page(store: Store, limit: str | None, after: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """JSON and headers of a page, for the query's `limit` and `after`. Raises NotAllowed and redis.RedisError."""
    size, start = _limit(limit), _start(after)
    found, member = store.page(limit=size, after=start)
    following = cursor.encode(member) if member else None
    body = {"translations": [translation.summary() for translation in found], "next": following}
    if following is None:
        return body, {}
    address = url_for("translation.listing", limit=size, after=following)
    return body, {"Link": f'<{address}>; rel="next"'}


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= LARGEST_LIMIT):
        raise NotAllowed(f"limit must be a whole number from 1 to {LARGEST_LIMIT}")
    return int(text)


def _start(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return cursor.decode(text)
    except ValueError:
        raise NotAllowed("after must be the `next` of an earlier page") from None
