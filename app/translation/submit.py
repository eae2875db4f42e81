"""Puts a translation into the store and the queue: the one way in, for the API and the command alike."""

from __future__ import annotations

from contextlib import suppress

import redis

from app.settings import Settings
from app.translation import actors
from app.translation.request import TranslationRequest
from app.translation.store import Translation


def submit(asked: TranslationRequest, settings: Settings) -> Translation:
    """The queued translation. Raises redis.RedisError or dramatiq's BrokerConnectionError, and nothing is queued."""
    translation = actors.store().create(asked, model=asked.model or settings.ollama_model)
    try:
        actors.translate.send(translation.id)
    except Exception:
        # Nobody has its id, so it should not stay; where Redis is away, there is nothing to be done about it.
        with suppress(redis.RedisError):
            actors.store().delete(translation.id)
        raise
    return translation
