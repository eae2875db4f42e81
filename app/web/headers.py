"""Headers that every answer carries: what a browser may do with it, and who may keep it."""

from __future__ import annotations

from flask import Flask, Response, request

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Only of use, and only believed, over TLS; a year.
_STRICT_TRANSPORT = "max-age=31536000"


def register(app: Flask) -> None:
    """Adds them to all answers of the application, errors included; what a view has set itself stays."""

    @app.after_request
    def add(response: Response) -> Response:
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", _STRICT_TRANSPORT)
        # What the API says is true for a moment and often not for others' eyes.
        response.headers.setdefault("Cache-Control", "no-store")
        return response
