"""Which models a request may name, and which of them the server has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from app.settings import ANY_MODEL, Settings
from app.translation import pulls
from app.translation.engine.ollama import OllamaError, full_name
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed

# How long the server's list is believed: many may ask for it at once.
LIST_SECONDS = 5.0


def configured(settings: Settings) -> tuple[str, ...]:
    """The models that the settings name, the default first, each once."""
    others = () if _takes_any(settings) else settings.ollama_models
    return _each_once((settings.ollama_model, *others))


def is_to_be_pulled(model: str, settings: Settings) -> bool:
    """Whether the container's start pulls this model when the server lacks it."""
    return settings.ollama_pull and full_name(model) in map(full_name, configured(settings))


def choose(model: str | None, settings: Settings) -> str:
    """The model for a request that names this one or none, as the settings write it. Raises NotAllowed."""
    if model is None:
        return settings.ollama_model
    for name in configured(settings):
        if full_name(name) == full_name(model):
            return name
    if _takes_any(settings):
        return model
    raise NotAllowed(f"model {model!r} is not offered here: name one of {', '.join(configured(settings))}")


class Listing:
    """The names that the server lists, asked for by `look` at most every LIST_SECONDS; none while it is away."""

    def __init__(self, look: Callable[[], set[str]]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._until = 0.0

    def names(self) -> set[str]:
        """The names with their tags. Takes as long as `look` at most."""
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._names = self._look()
                except OllamaError:  # the check of the model says so
                    self._names = set()
                self._until = time.monotonic() + LIST_SECONDS
            return self._names


def overview(settings: Settings, listed: set[str]) -> dict[str, Any]:
    """The JSON of GET /models."""
    names = configured(settings)
    if _takes_any(settings):
        names = _each_once((*names, *sorted(listed)))
    pull = pulls.running()
    return {
        "default": settings.ollama_model,
        "models": [
            {"name": name, "available": full_name(name) in listed, "default": name == settings.ollama_model}
            for name in names
        ],
        "languages": LANGUAGES,
        "pull": pull and vars(pull),
    }


def _takes_any(settings: Settings) -> bool:
    return ANY_MODEL in settings.ollama_models


def _each_once(names: Iterable[str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(full_name(name), name)
    return tuple(first.values())
