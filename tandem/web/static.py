"""Static files under URLs that change with their content, so that a browser may cache them permanently."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, request
from werkzeug.security import safe_join

_IMMUTABLE = "public, max-age=31536000, immutable"
# Without the version a browser revalidates each time, and mostly gets 304.
_REVALIDATE = "no-cache"


def register(app: Flask) -> None:
    """Add the platform's stylesheet, versions to the URLs of url_for, and how long a file may be cached."""
    app.register_blueprint(Blueprint("tandem", __name__, static_folder="static", static_url_path="/static/tandem"))

    def folder(endpoint: str) -> str | None:
        return app.blueprints[endpoint.rpartition(".")[0]].static_folder

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint.endswith(".static") and (version := _version(folder(endpoint), values.get("filename", ""))):
            values["v"] = version

    @app.after_request
    def set_cache_control(response: Response) -> Response:
        endpoint = request.endpoint or ""
        if endpoint.endswith(".static") and response.status_code in (200, 304):
            version = _version(folder(endpoint), (request.view_args or {})["filename"])
            response.headers["Cache-Control"] = _IMMUTABLE if request.args.get("v") == version else _REVALIDATE
        return response


# The image's files do not change, and only existing files get here, so the cache is bounded.
@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _version(folder: str | None, filename: str) -> str | None:
    path = safe_join(folder, filename) if folder else None
    return _digest(Path(path)) if path and Path(path).is_file() else None
