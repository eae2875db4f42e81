"""GET /translations/<id>/events: the progress of a translation as server-sent events until it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, Response

from app.translation import actors
from app.translation.http import owned
from app.translation.store import State, changes_channel
from tandem import sse


def register(routes: Blueprint) -> None:
    """Add the route to the blueprint."""

    @routes.get("/translations/<uuid:translation_id>/events")
    def events(translation_id: UUID) -> Response:
        state = actors.store().state(owned.require(translation_id))
        if state is None:
            owned.abort_not_found(translation_id)
        return sse.respond(TOPIC, str(translation_id), _event(state))


def _event(state: State) -> sse.Event:
    name = "end" if state.ended else "progress"
    return sse.Event(state.version, name, json.dumps(state.public(), ensure_ascii=False), last=state.ended)


def _newest(ids: Sequence[str]) -> list[sse.Event | None]:
    return [_event(state) if state else None for state in actors.store().states(ids)]


TOPIC = sse.Topic(channel=changes_channel, read=_newest)
