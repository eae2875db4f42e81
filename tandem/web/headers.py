"""Headers of every response: what a browser may do with it, and who may cache it."""

from __future__ import annotations

from flask import Flask, Response, request

from tandem.web.security_headers import SECURITY

# Only effective over TLS; a year.
_STRICT_TRANSPORT = "max-age=31536000"


def register(app: Flask) -> None:
    """Add them to all responses of the application, errors included; headers that a view has set stay."""

    @app.after_request
    def add(response: Response) -> Response:
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", _STRICT_TRANSPORT)
        # Responses of the API are soon outdated and often confidential.
        response.headers.setdefault("Cache-Control", "no-store")
        return response
