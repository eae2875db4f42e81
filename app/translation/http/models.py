"""GET /models: what a request may name, and whether the server has it."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.settings import Settings
from app.translation import actors, models


def register(routes: Blueprint, settings: Settings) -> None:
    """Adds the route."""
    listing = models.Listing(lambda: actors.ollama().models())

    @routes.get("/models", endpoint="models")
    def show_models() -> Response:
        return jsonify(models.overview(settings, listing.names()))
