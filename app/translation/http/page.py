"""The page at /."""

from __future__ import annotations

from flask import Blueprint, render_template

from app.api.access import open_to_all
from app.settings import Settings
from app.translation.languages import LANGUAGES


def register(routes: Blueprint, settings: Settings) -> None:
    """Adds GET /: its scripts ask for the token, where there is one."""

    @routes.get("/")
    @open_to_all
    def page() -> str:
        return render_template(
            "translate.html",
            languages=LANGUAGES,
            model=settings.ollama_model,
            limit=settings.translation_max_chars,
        )
