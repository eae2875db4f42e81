"""GET /translations/<id>/events: how far a translation is, told until its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, Response, abort

from app import event_streams
from app.event_streams import Event, Feed
from app.translation import actors
from app.translation.store import State, changes_channel


def register(routes: Blueprint) -> None:
    """Adds the route to the blueprint of translations."""

    @routes.get("/translations/<uuid:translation_id>/events")
    def events(translation_id: UUID) -> Response:
        state = actors.store().state(str(translation_id))
        if state is None:
            abort(404, f"there is no translation {translation_id}: it never was, or it was kept long enough")
        return event_streams.respond(FEED, str(translation_id), _event(state))


def _event(state: State) -> Event:
    name = "end" if state.ended else "progress"
    return Event(state.version, name, json.dumps(state.public(), ensure_ascii=False), last=state.ended)


def _newest(ids: Sequence[str]) -> list[Event | None]:
    return [_event(state) if state else None for state in actors.store().states(ids)]


FEED = Feed(channel=changes_channel, read=_newest)
