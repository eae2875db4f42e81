"""Pull and load the models once at the container's start, in the program `init`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from app.translation import actors, models, pulls
from app.translation.engine.names import full_name
from app.translation.engine.ollama import Call, OllamaError, OllamaRefused
from app.translation.engine.pull import Pull
from app.translation.settings import TranslationSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between two attempts, doubled from the first to the second value.
MIN_BACKOFF = 1.0
MAX_BACKOFF = 60.0
# Log the progress at each of these steps, whichever comes first.
REPORT_PERCENT = 5
REPORT_SECONDS = 10.0


def prepare(settings: TranslationSettings) -> None:
    """Wait for Ollama, pull missing models if OLLAMA_PULL is set, and load the default model."""
    # A killed predecessor may have left state, perhaps of other settings.
    pulls.forget(failures=True)
    # Records may be of an earlier version, or deleted by other means.
    actors.store().stored.count_all()
    with _forgetting_pulls():
        listed = set(map(full_name, _retry(actors.ollama().models)))
        for model in models.configured(settings):
            if full_name(model) not in listed and not _pull(model, settings):
                continue
            logger.info("the model %s is available", model)
            if model == settings.ollama_model:
                _warm_up(model, settings)


@contextmanager
def _forgetting_pulls() -> Iterator[None]:
    """Delete the reported pull when this ends, even by SIGTERM."""
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        pulls.forget()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _pull(model: str, settings: TranslationSettings) -> bool:
    """Pull a model; return False if it is not available."""
    if not settings.ollama_pull:
        logger.warning(
            "Ollama at %s does not have the model %s: run `ollama pull %s` there, or set OLLAMA_PULL=1",
            settings.ollama_name,
            model,
            model,
        )
        return False
    # Longer than the longest silence and pause together.
    expiry = settings.ollama_timeout + int(2 * MAX_BACKOFF)

    def failed(error: OllamaError) -> None:
        final = isinstance(error, OllamaRefused)
        pulls.report_failure(pulls.Failure(model, str(error), final))

    try:
        _retry(lambda: _report(actors.ollama().pull(model), expiry), failed=failed)
    except OllamaRefused as error:
        failed(error)
        logger.error("the model %s cannot be pulled: %s", model, error)
        return False
    pulls.forget()
    actors.breaker().reset(model)
    return True


def _retry(
    attempt: Callable[[], T],
    *,
    seconds: float = float("inf"),
    failed: Callable[[OllamaError], None] = lambda _error: None,
) -> T:
    """Retry until success and return the result. Raises OllamaRefused, and the last error after `seconds`.

    failed: called with each error before a retry.
    """
    pause, end = MIN_BACKOFF, time.monotonic() + seconds
    while True:
        began = time.monotonic()
        try:
            return attempt()
        except OllamaRefused:
            raise
        except OllamaError as error:
            if began + pause > end:
                raise
            if time.monotonic() - began > MAX_BACKOFF:  # the attempt made progress
                pause = MIN_BACKOFF
            failed(error)
            logger.warning("%s; retrying in %.0f s", error, pause)
        time.sleep(pause)
        pause = min(2 * pause, MAX_BACKOFF)


def _report(progress: Iterator[Pull], expiry: int) -> None:
    logged, logged_percent, stored = 0.0, 0, 0.0
    for pull in progress:
        now = time.monotonic()
        if now - stored >= 1:
            pulls.report(pull, seconds=expiry)
            stored = now
        if now - logged >= REPORT_SECONDS or pull.percent >= logged_percent + REPORT_PERCENT:
            logger.info("%s", pull)
            logged, logged_percent = now, pull.percent


def _warm_up(model: str, settings: TranslationSettings) -> None:
    """Load a model, so that the first translation does not have to wait for it.

    Closing the request would make Ollama abort the loading, so it has a longer time limit, and is retried.
    """
    began = time.monotonic()
    wait = max(settings.ollama_timeout, settings.ollama_patience)
    try:
        if not actors.ollama().can_chat(model):
            logger.error("the model %s cannot translate: Ollama does not list chat among its capabilities", model)
            return
        _retry(lambda: actors.ollama().load(model, call=Call(wait=wait)), seconds=settings.ollama_patience)
    except OllamaError as error:
        logger.warning("the model %s is not loaded yet: %s", model, error)
    else:
        actors.breaker().reset(model)
        logger.info("the model %s was loaded in %.1f s", model, time.monotonic() - began)
