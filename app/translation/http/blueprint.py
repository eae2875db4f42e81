"""All routes of translations, and the files of their page."""

from __future__ import annotations

from flask import Blueprint

from app.settings import Settings
from app.translation.http import downloads, events, listing, models, page, translations


def make_blueprint(settings: Settings) -> Blueprint:
    """What the web application registers."""
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
