"""The blueprint with all translation routes and the static files of the page."""

from __future__ import annotations

from flask import Blueprint

from app.translation.http import downloads, events, listing, models, page, translations
from app.translation.settings import TranslationSettings


def make_blueprint(settings: TranslationSettings) -> Blueprint:
    """Create the blueprint that the web application registers."""
    routes = Blueprint(
        "translation",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static/translation",
    )
    translations.register(routes, settings)
    listing.register(routes)
    events.register(routes)
    downloads.register(routes)
    models.register(routes, settings)
    page.register(routes, settings)
    return routes
