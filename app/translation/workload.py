"""What the registry gives of this workload. Importing it declares the actor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.queueing.checks import Check, Warn
from app.queueing.workload import Workload
from app.settings import Settings
from app.translation import actors, callbacks, models, pulls
from app.translation.engine.ollama import OllamaError, full_name

if TYPE_CHECKING:
    from click import Command
    from flask import Blueprint

    from app.api.description import Api


def _blueprint(settings: Settings) -> Blueprint:
    from app.translation.http.blueprint import make_blueprint

    return make_blueprint(settings)


def _prepare(settings: Settings) -> None:
    from app.translation.preparing import prepare

    prepare(settings)


def _api(settings: Settings) -> Api:
    from app.translation.http.api import describe

    return describe(settings)


def _commands() -> Sequence[Command]:
    from app.translation.commands import translate

    return (translate,)


def _checks(settings: Settings) -> Sequence[Check]:
    """Translations are accepted and kept while the model is away, so this only warns."""

    def look_at_model() -> str:
        try:
            names = actors.ollama().models()
        except OllamaError as error:
            raise Warn(f"{error}; translations fail when their retries are used up") from error
        missing = [model for model in models.configured(settings) if full_name(model) not in names]
        if missing and (pull := pulls.running()):
            raise Warn(str(pull))
        if settings.ollama_model in missing:
            raise Warn(
                f"Ollama at {settings.ollama_name} does not have the model {settings.ollama_model}: "
                f"pull it, or set OLLAMA_MODEL to one of {', '.join(sorted(names)) or 'none'}"
            )
        if missing:
            raise Warn(f"Ollama at {settings.ollama_name} does not have {', '.join(missing)} of OLLAMA_MODELS: pull it")
        return f"{settings.ollama_model} at {settings.ollama_name}"

    return (Check("model", look_at_model),)


def _at_once(settings: Settings) -> Mapping[str, int]:
    """A message makes one call after the other, so its place in the queue's bound is its place at Ollama.

    The bound on callbacks keeps slow receivers from taking all threads, also where there are few.
    """
    half_of_all = settings.workers * settings.worker_threads // 2
    return {
        actors.translate.queue_name: settings.ollama_concurrency,
        callbacks.call_back.queue_name: max(1, min(callbacks.AT_ONCE, half_of_all)),
    }


translation = Workload(
    name="translation",
    blueprint=_blueprint,
    api=_api,
    checks=_checks,
    commands=_commands,
    at_once=_at_once,
    prepare=_prepare,
)
