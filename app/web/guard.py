"""API_TOKEN: who knows it may use the API. Views marked `open_to_all`, and static files, are for everybody."""

from __future__ import annotations

import hmac

from flask import Flask, Response, current_app, request

from app.api.access import is_open
from app.settings import Settings
from app.web.problems import problem

_CHALLENGE = 'Bearer realm="tandem"'


class Guard:
    """Knows the token. It never says what somebody sent instead."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.api_token.get_secret_value().encode() if settings.api_token else None

    def register(self, app: Flask) -> None:
        """Asks for the token before every route that is not open, and before what is no route at all."""
        app.before_request(self._refusal)

    def knows(self) -> bool:
        """Whether the client of this request may see what is not for everybody."""
        if self._token is None:
            return True
        given = request.authorization
        if given is None or given.type != "bearer" or not given.token:
            return False
        return hmac.compare_digest(given.token.encode(), self._token)

    def _refusal(self) -> Response | None:
        if wants_anybody() or self.knows():
            return None
        if "Authorization" in request.headers:
            refused = problem(401, "Unauthorized", "the Authorization header must be Bearer and the right API_TOKEN")
            refused.headers["WWW-Authenticate"] = f'{_CHALLENGE}, error="invalid_token"'
        else:
            refused = problem(401, "Unauthorized", "this needs the header Authorization: Bearer with the API_TOKEN")
            refused.headers["WWW-Authenticate"] = _CHALLENGE
        return refused


def wants_anybody() -> bool:
    """Whether this request is for a view that is open to everybody."""
    endpoint = request.endpoint
    if endpoint is None:
        return False
    return endpoint.endswith(".static") or is_open(current_app.view_functions[endpoint])
