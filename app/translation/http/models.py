"""GET /models: the models that a request may name, and whether the server has them."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.translation import actors, models
from app.translation.settings import TranslationSettings


def register(routes: Blueprint, settings: TranslationSettings) -> None:
    """Add the route."""
    listing = models.Listing(lambda: actors.ollama().models())

    @routes.get("/models", endpoint="models")
    def show_models() -> Response:
        return jsonify(models.overview(settings, listing.names()))
