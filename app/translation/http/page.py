"""The page at /."""

from __future__ import annotations

from flask import Blueprint, render_template

from app.translation.languages import LANGUAGES
from app.translation.settings import TranslationSettings
from tandem import openapi


def register(routes: Blueprint, settings: TranslationSettings) -> None:
    """Add GET /. It needs no token: the page's scripts ask for it if the API requires one."""

    @routes.get("/")
    @openapi.public
    def page() -> str:
        return render_template(
            "translate.html",
            languages=LANGUAGES,
            model=settings.ollama_model,
            limit=settings.translation_max_chars,
        )
