"""What the program `prepare` does for translations once, at the container's start: models are there and loaded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from app.settings import Settings
from app.translation import actors, models, pulls
from app.translation.engine.ollama import OllamaError, OllamaRefused, full_name
from app.translation.engine.pull import Pull

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between two tries; each is twice as long as the one before.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# A line in the log for each, whichever comes first.
TELL_PERCENT = 5
TELL_SECONDS = 10.0


def prepare(settings: Settings) -> None:
    """Waits for Ollama, pulls what it lacks where that is wanted, and has the default model loaded."""
    listed = _tried_until_done(actors.ollama().models)
    for model in models.configured(settings):
        if full_name(model) not in listed and not _get(model, settings):
            continue
        logger.info("the model %s is there", model)
        if model == settings.ollama_model:
            _warm_up(model)


def _get(model: str, settings: Settings) -> bool:
    """Pulls a model; False when there is none to be had."""
    if not settings.ollama_pull:
        logger.warning(
            "Ollama at %s does not have the model %s: type `ollama pull %s` there, or set OLLAMA_PULL=1",
            settings.ollama_name,
            model,
            model,
        )
        return False
    # As long as a silence and a pause may last, and some more.
    kept = settings.ollama_timeout + int(2 * LONGEST_PAUSE)
    try:
        _tried_until_done(lambda: _tell(actors.ollama().pull(model), kept))
    except OllamaRefused as error:
        logger.error("the model %s cannot be pulled: %s", model, error)
        return False
    finally:
        pulls.forget()
    return True


def _tried_until_done(attempt: Callable[[], T]) -> T:
    """Its result, however often it fails before. Raises OllamaRefused."""
    pause = FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            return attempt()
        except OllamaRefused:
            raise
        except OllamaError as error:
            if time.monotonic() - began > LONGEST_PAUSE:  # it went well for a while
                pause = FIRST_PAUSE
            logger.warning("%s; the next try is in %.0f s", error, pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _tell(progress: Iterator[Pull], kept: int) -> None:
    logged, logged_percent, stored = 0.0, 0, 0.0
    for pull in progress:
        now = time.monotonic()
        if now - stored >= 1:
            pulls.tell(pull, seconds=kept)
            stored = now
        if now - logged >= TELL_SECONDS or pull.percent >= logged_percent + TELL_PERCENT:
            logger.info("%s", pull)
            logged, logged_percent = now, pull.percent


def _warm_up(model: str) -> None:
    """The first translation would wait for the loading; it still does where this fails."""
    began = time.monotonic()
    try:
        actors.ollama().load(model)
    except OllamaError as error:
        logger.warning("the model %s is not loaded yet: %s", model, error)
    else:
        logger.info("the model %s was loaded in %.1f s", model, time.monotonic() - began)
