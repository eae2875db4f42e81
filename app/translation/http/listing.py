"""GET /translations: a page of translations, newest first. DELETE /translations/<id>: cancel one; it stays listed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, request, url_for

from app.translation import actors
from app.translation.http import cursor, owned
from app.translation.request import NotAllowed
from app.translation.store import Store
from tandem import openapi

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def register(routes: Blueprint) -> None:
    """Add both routes."""

    @routes.get("/translations", endpoint="listing")
    def show_list() -> tuple[Response, dict[str, str]]:
        try:
            body, headers = page(
                actors.store(), request.args.get("limit"), request.args.get("after"), owner=openapi.caller()
            )
        except NotAllowed as error:
            abort(422, str(error))
        return jsonify(body), headers

    @routes.delete("/translations/<uuid:translation_id>")
    def cancel(translation_id: UUID) -> tuple[Response, int]:
        cancelled = actors.store().cancel(owned.require(translation_id))
        translation = owned.find(translation_id)
        if not cancelled:
            abort(409, f"the translation has ended already: it is {translation.status}")
        return jsonify(translation.public()), 202


def page(
    store: Store, limit: str | None, after: str | None, *, owner: str = ""
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return JSON and headers of a page for the query's `limit` and `after`. Raises NotAllowed and redis.RedisError."""
    size, start = _limit(limit), _start(after)
    found, member = store.page(limit=size, after=start, owner=owner)
    following = cursor.encode(member) if member else None
    body = {"translations": [translation.summary() for translation in found], "next": following}
    if following is None:
        return body, {}
    address = url_for("translation.listing", limit=size, after=following)
    return body, {"Link": f'<{address}>; rel="next"'}


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        raise NotAllowed(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _start(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return cursor.decode(text)
    except ValueError:
        raise NotAllowed("after must be the `next` of an earlier page") from None
