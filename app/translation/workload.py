"""The workload for the registry. Importing this module declares the actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from app.translation import actors, callbacks, measures, models, pulls
from app.translation.engine.names import full_name
from app.translation.engine.ollama import OllamaError
from app.translation.settings import TranslationSettings
from tandem import Check, Fail, Settings, Warn, Workload, values

if TYPE_CHECKING:
    from click import Command
    from flask import Blueprint

    from tandem import openapi

#: The share of TRANSLATION_STORE from which a check warns.
WARN_FULL = 0.8


def _blueprint(_platform: Settings) -> Blueprint:
    from app.translation.http.blueprint import make_blueprint

    return make_blueprint(TranslationSettings.current())


def _on_start(_platform: Settings) -> None:
    from app.translation.startup import prepare

    prepare(TranslationSettings.current())


def _api(_platform: Settings) -> openapi.Api:
    from app.translation.http.api import describe

    return describe(TranslationSettings.current())


def _commands() -> Sequence[Command]:
    from app.translation.commands import translate

    return (translate,)


def _checks(_platform: Settings) -> Sequence[Check]:
    """Return the health checks. An unreachable model is only a warning: translations are still accepted and stored."""
    settings = TranslationSettings.current()

    def check_model() -> str:
        try:
            return _check_model(settings)
        except OllamaError as error:
            raise Warn(f"{error}; {_consequence(settings)}") from error

    late = Warn(f"Ollama at {settings.ollama_name} responds slowly; {_consequence(settings)}")
    return (Check("model", check_model, late), Check("translation store", partial(_check_store, settings)))


def _check_store(settings: TranslationSettings) -> str:
    """Report how full the store is. Raises Warn and redis.RedisError."""
    stored, limit = actors.store().stored, settings.translation_store
    stored.sweep()
    total = stored.total()
    if not limit:
        return f"{total:,} bytes, no limit"
    usage = f"{total / limit:.0%} of {values.show_size(limit)}"
    if total >= WARN_FULL * limit:
        raise Warn(
            f"the stored translations take {usage} (TRANSLATION_STORE); new ones are refused when it is full: "
            "raise it together with REDIS_MAXMEMORY, or lower TRANSLATION_RETENTION"
        )
    return usage


def _check_model(settings: TranslationSettings) -> str:
    """Report the default model. Raises Warn, Fail and OllamaError."""
    names = actors.ollama().models()
    there = set(map(full_name, names))
    missing = [model for model in models.configured(settings) if full_name(model) not in there]
    if missing:
        raise Warn(_why_missing(missing, names, settings))
    if not actors.ollama().can_chat(settings.ollama_model):
        raise Fail(
            f"the model {settings.ollama_model} cannot translate: Ollama does not list chat among its capabilities, "
            "as for embedding models; set OLLAMA_MODEL to another model"
        )
    if reason := actors.breaker().reason(settings.ollama_model):
        raise Warn(f"the model {settings.ollama_model} is not available: {reason}; {_consequence(settings)}")
    return f"{settings.ollama_model} at {settings.ollama_name}"


def _consequence(settings: TranslationSettings) -> str:
    """Say what happens to translations meanwhile."""
    if settings.ollama_patience:
        return f"each translation waits for it up to {settings.ollama_patience} s (OLLAMA_PATIENCE)"
    return "translations fail after their last retry"


def _why_missing(missing: Sequence[str], names: set[str], settings: TranslationSettings) -> str:
    if pull := models.current_pull(settings):
        return str(pull)
    if failures := [failure for model in missing if (failure := pulls.failure(model))]:
        return "; ".join(map(str, failures))
    if settings.ollama_model in missing:
        return (
            f"Ollama at {settings.ollama_name} does not have the model {settings.ollama_model}: "
            f"pull it, or set OLLAMA_MODEL to one of {', '.join(sorted(names)) or 'none'}"
        )
    return f"Ollama at {settings.ollama_name} does not have {', '.join(missing)} of OLLAMA_MODELS: pull it"


def _max_concurrency(platform: Settings) -> Mapping[str, int]:
    """Return the limits of the queues. A message makes one call at a time, so its queue's limit is that of the calls.

    The limit of callbacks keeps slow receivers from occupying all threads, even if there are few.
    """
    half_of_all = platform.workers * platform.worker_threads // 2
    return {
        actors.translate.queue_name: TranslationSettings.current().ollama_concurrency,
        callbacks.call_back.queue_name: max(1, min(callbacks.MAX_CONCURRENCY, half_of_all)),
    }


workload = Workload(
    name="translation",
    settings=TranslationSettings,
    blueprint=_blueprint,
    api=_api,
    checks=_checks,
    commands=_commands,
    max_concurrency=_max_concurrency,
    metrics=measures.ALL,
    on_start=_on_start,
)
