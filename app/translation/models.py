"""Models that a request may name, and their availability on the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from app.translation import pulls
from app.translation.engine.names import full_name
from app.translation.engine.ollama import OllamaError
from app.translation.engine.pull import Pull
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed
from app.translation.settings import ANY_MODEL, TranslationSettings

# How long the server's list is cached, in seconds: many clients may request it at the same time.
LIST_EXPIRY = 5.0


def configured(settings: TranslationSettings) -> tuple[str, ...]:
    """Return the models in the settings, the default first, without duplicates."""
    others = () if _allows_any(settings) else settings.ollama_models
    return _each_once((settings.ollama_model, *others))


def will_be_pulled(model: str, settings: TranslationSettings) -> bool:
    """Return whether this model is pulled at the container's start if the server does not have it."""
    return settings.ollama_pull and full_name(model) in map(full_name, configured(settings))


def current_pull(settings: TranslationSettings) -> Pull | None:
    """Return the pull in progress, if requests may name its model."""
    pull = pulls.running()
    known = {full_name(name) for name in configured(settings)}
    return pull if pull and (_allows_any(settings) or full_name(pull.model) in known) else None


def choose(model: str | None, settings: TranslationSettings) -> str:
    """Return the model for a request that names this one or none, as spelled in the settings. Raises NotAllowed."""
    if model is None:
        return settings.ollama_model
    for name in configured(settings):
        if full_name(name) == full_name(model):
            return name
    if _allows_any(settings):
        return model
    raise NotAllowed(f"model {model!r} is not available: expected one of {', '.join(configured(settings))}")


class Listing:
    """The server's list of models, fetched at most every LIST_EXPIRY seconds; empty while it is unreachable."""

    def __init__(self, fetch: Callable[[], set[str]]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._until = 0.0

    def names(self) -> set[str]:
        """Return the names with their tags. Takes at most as long as `fetch`."""
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._names = self._fetch()
                except OllamaError:  # the health check of the model reports it
                    self._names = set()
                self._until = time.monotonic() + LIST_EXPIRY
            return self._names


def overview(settings: TranslationSettings, listed: set[str]) -> dict[str, Any]:
    """Return the JSON of GET /models."""
    names = configured(settings)
    if _allows_any(settings):
        names = _each_once((*names, *sorted(listed)))
    there = set(map(full_name, listed))
    pull = current_pull(settings)
    return {
        "default": settings.ollama_model,
        "models": [
            {"name": name, "available": full_name(name) in there, "default": name == settings.ollama_model}
            for name in names
        ],
        "languages": LANGUAGES,
        "pull": pull and vars(pull),
    }


def _allows_any(settings: TranslationSettings) -> bool:
    return ANY_MODEL in settings.ollama_models


def _each_once(names: Iterable[str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(full_name(name), name)
    return tuple(first.values())
