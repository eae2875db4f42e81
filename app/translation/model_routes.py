"""The route of models: what a request may name, and whether the server has it."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.settings import Settings
from app.translation import actors, models


def make_blueprint(settings: Settings) -> Blueprint:
    """GET /models."""
    routes = Blueprint("models", __name__)
    listing = models.Listing(lambda: actors.ollama().models())

    @routes.get("/models")
    def show() -> Response:
        return jsonify(models.overview(settings, listing.names()))

    return routes
