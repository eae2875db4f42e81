"""API_TOKEN and API_TOKENS: clients with a token may use the API. Views marked `@public` and static files need none."""

from __future__ import annotations

import hmac

from flask import Flask, Response, current_app, g, request

from tandem.config.settings import Settings
from tandem.openapi.access import is_public
from tandem.openapi.caller import set_caller
from tandem.web.problems import problem
from tandem.web.rate_limit import client_name
from tandem.web.throttle import MAX_WRONG, RETRY_AFTER_SECONDS, GuessThrottle

#: The key of the WSGI environment with the name of the caller, for the access log.
CALLER = "tandem.caller"
_CHALLENGE = 'Bearer realm="tandem"'
_NEEDS = "authentication required: send the header Authorization: Bearer with the API_TOKEN"
_WRONG = "invalid token: expected Authorization: Bearer with the API_TOKEN"
TOO_MANY_WRONG = (
    f"too many wrong tokens from this address (more than {MAX_WRONG} a minute): try again in {RETRY_AFTER_SECONDS} s"
)
# In g: the result for the request's token, one of these.
_RIGHT, _MISSING, _REFUSED, _LOCKED_OUT = "right", "missing", "refused", "locked out"


class Authentication:
    """Verifies tokens. It never repeats a wrong one."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = {name: token.encode() for name, token in settings.named_tokens.items()}
        if settings.api_token:
            self._tokens[""] = settings.api_token.get_secret_value().encode()
        self._throttle = GuessThrottle(settings) if self._tokens else None

    def register(self, app: Flask) -> None:
        """Require a token for every route that is not public, and for unknown paths."""
        app.before_request(self._refusal)

    def is_authenticated(self) -> bool:
        """Return whether the client of this request may see what is not public."""
        return bool(g.tandem_access == _RIGHT)

    def _identify(self) -> str:
        """Identify the client, and note it for views and the log."""
        g.tandem_access = self._access()
        return str(g.tandem_access)

    def _access(self) -> str:
        if self._throttle is None:
            return _RIGHT
        if "Authorization" not in request.headers:
            return _MISSING
        client = client_name(request.remote_addr or "")
        name = self._name_of(bearer_token(request.headers["Authorization"]))
        if name is None:
            return _LOCKED_OUT if self._throttle.note_wrong(client) else _REFUSED
        if self._throttle.is_locked_out(client, name):
            return _LOCKED_OUT
        set_caller(name)
        request.environ[CALLER] = name
        return _RIGHT

    def _name_of(self, given: bytes) -> str | None:
        """Return the name of a token; all are compared, so that the duration reveals nothing."""
        names = [name for name, token in self._tokens.items() if hmac.compare_digest(given, token)]
        return names[0] if names else None

    def _refusal(self) -> Response | None:
        access = self._identify()
        if access == _RIGHT or is_public_request():
            return None
        if access == _LOCKED_OUT:
            refused = problem(429, "Too Many Requests", TOO_MANY_WRONG)
            refused.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return refused
        refused = problem(401, "Unauthorized", _NEEDS if access == _MISSING else _WRONG)
        refused.headers["WWW-Authenticate"] = _CHALLENGE + ("" if access == _MISSING else ', error="invalid_token"')
        return refused


def bearer_token(header: str) -> bytes:
    """Return the token of the header Authorization, b"" if it has none.

    Parsed here, because werkzeug parses a token with a `=` inside as a list of parameters.
    """
    scheme, _, token = header.strip().partition(" ")
    return token.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""


def is_public_request() -> bool:
    """Return whether this request is for a public view."""
    endpoint = request.endpoint
    if endpoint is None:
        return False
    return endpoint.endswith(".static") or is_public(current_app.view_functions[endpoint])
