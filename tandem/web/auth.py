"""API_TOKEN and API_TOKENS: clients with a token may use the API. Views marked `@public` and static files need none."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from flask import Flask, Response, current_app, g, request

from tandem.config.settings import Settings
from tandem.openapi.access import View, is_public, public
from tandem.openapi.caller import set_caller
from tandem.web.problems import problem
from tandem.web.rate_limit import client_name
from tandem.web.throttle import MAX_WRONG, RETRY_AFTER_SECONDS, GuessThrottle

#: The key of the WSGI environment with the name of the caller, for the access log.
CALLER = "tandem.caller"
_CHALLENGE = 'Bearer realm="tandem"'
_NEEDS = "authentication required: send the header Authorization: Bearer with the {}"
_WRONG = "invalid token: expected Authorization: Bearer with the {}"
TOO_MANY_WRONG = (
    f"too many wrong tokens from this address (more than {MAX_WRONG} a minute): try again in {RETRY_AFTER_SECONDS} s"
)
#: What a request's token is.
RIGHT, MISSING, REFUSED, LOCKED_OUT = "right", "missing", "refused", "locked out"
_OWN_TOKENS = "has_own_tokens"


class TokenGate:
    """Verifies the token of a request against `tokens`, by their names; without any, every request passes.

    It never repeats a wrong one.
    """

    def __init__(self, tokens: Mapping[str, str], settings: Settings) -> None:
        self._tokens = {name: token.encode() for name, token in tokens.items()}
        self._throttle = GuessThrottle(settings) if self._tokens else None

    def access(self) -> tuple[str, str]:
        """Return RIGHT, MISSING, REFUSED or LOCKED_OUT, and the name of a right token."""
        if self._throttle is None:
            return RIGHT, ""
        if "Authorization" not in request.headers:
            return MISSING, ""
        return self.access_with(bearer_token(request.headers["Authorization"]))

    def access_with(self, token: bytes) -> tuple[str, str]:
        """Return the same for a token that did not come in the header."""
        if self._throttle is None:
            return RIGHT, ""
        client = client_name(request.remote_addr or "")
        name = self._name_of(token)
        if name is None:
            return (LOCKED_OUT if self._throttle.note_wrong(client) else REFUSED), ""
        if self._throttle.is_locked_out(client, name):
            return LOCKED_OUT, ""
        return RIGHT, name

    def _name_of(self, given: bytes) -> str | None:
        """Return the name of a token; all are compared, so that the duration reveals nothing."""
        names = [name for name, token in self._tokens.items() if hmac.compare_digest(given, token)]
        return names[0] if names else None


class Authentication:
    """The tokens of the API."""

    def __init__(self, settings: Settings) -> None:
        tokens = dict(settings.named_tokens)
        if settings.api_token:
            tokens[""] = settings.api_token.get_secret_value()
        self._gate = TokenGate(tokens, settings)

    def register(self, app: Flask) -> None:
        """Require a token for every route that is not public, and for unknown paths."""
        app.before_request(self._refusal)

    def is_authenticated(self) -> bool:
        """Return whether the client of this request may see what is not public."""
        return bool(g.tandem_access == RIGHT)

    def _refusal(self) -> Response | None:
        if _has_own_tokens():
            g.tandem_access = MISSING
            return None
        access, name = self._gate.access()
        g.tandem_access = access
        if access == RIGHT:
            set_caller(name)
            request.environ[CALLER] = name
        if access == RIGHT or is_public_request():
            return None
        return refusal(access, "API_TOKEN")


def own_tokens(view: View) -> View:
    """Mark a view as one that asks for tokens of its own: those of the API are neither asked for nor counted."""
    setattr(view, _OWN_TOKENS, True)
    return public(view)


def _has_own_tokens() -> bool:
    return request.endpoint is not None and hasattr(current_app.view_functions[request.endpoint], _OWN_TOKENS)


def refusal(access: str, setting: str) -> Response:
    """Return the answer to a request without the right token, whose setting is named."""
    if access == LOCKED_OUT:
        refused = problem(429, "Too Many Requests", TOO_MANY_WRONG)
        refused.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return refused
    refused = problem(401, "Unauthorized", (_NEEDS if access == MISSING else _WRONG).format(setting))
    refused.headers["WWW-Authenticate"] = _CHALLENGE + ("" if access == MISSING else ', error="invalid_token"')
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
