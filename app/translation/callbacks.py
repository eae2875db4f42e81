"""Notify the client of a translation that it has ended, with a signed POST to its callback_url.

Headers, signature and body follow Standard Webhooks 1.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md). A call can arrive
twice, with the same webhook-id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from urllib.parse import urlsplit
from uuid import uuid4

import dramatiq

from app.translation.request import NotAllowed
from app.translation.settings import KEY_PREFIX, TranslationSettings
from app.translation.store import Status
from tandem import Destinations, OutboxMessage, PermanentError, Settings, get_broker, safe_http

logger = logging.getLogger(__name__)

#: Maximum concurrent calls over all containers on one Redis: receivers can be slow.
MAX_CONCURRENCY = 4


def check(url: str | None, config: TranslationSettings) -> None:
    """Check whether a request may use this callback_url. Raises NotAllowed."""
    if url is None:
        return
    if config.callback_secret is None:
        raise NotAllowed("callback_url is not accepted: calls have to be signed, but CALLBACK_SECRET is not set")
    try:
        safe_http.check(url, destinations(config))
    except safe_http.BadUrl as error:
        raise NotAllowed(f"callback_url is {error}") from error


def destinations(config: TranslationSettings) -> Destinations:
    """Return the allowed destinations of a callback_url: never this container, nor the services that it uses."""
    return Destinations(
        private=config.callback_private,
        ports=config.callback_ranges,
        services=(*Settings.current().redis_services, *_ollama(config)),
    )


def _ollama(config: TranslationSettings) -> list[tuple[str, int]]:
    parts = urlsplit(config.ollama_url)
    return [(parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme])] if parts.hostname else []


def message_at_end(translation_id: str, status: Status) -> OutboxMessage:
    """Return the message that makes the call after a translation has ended with this status."""
    return get_broker().outbox_message(call_back.message(translation_id, status, f"msg_{uuid4().hex}"))


# Retried after 5 s, 10 s, 20 s and so on, for 43 minutes in all.
@dramatiq.actor(queue_name="callbacks", max_retries=9, retry_delay=5000)
def call_back(translation_id: str, status: str, call_id: str) -> None:
    """Post the ended translation. call_id: the id by which the receiver recognizes a repeated call."""
    from app.translation import actors  # imports this module

    translation = actors.store().get(translation_id)
    if translation is None or translation.callback_url is None or translation.status != status:
        logger.info("no call: translation %s does not exist any more, or is being retried", translation_id)
        return
    config = TranslationSettings.current()
    if config.callback_secret is None:
        raise PermanentError("the call cannot be signed: CALLBACK_SECRET is not set")
    event = {"type": f"translation.{status}", "timestamp": translation.finished_at, "data": translation.public()}
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    headers = signed(config.callback_secret.get_secret_value(), call_id, int(time.time()), body)
    safe_http.post(translation.callback_url, body, headers, destinations(config))


def signed(secret: str, call_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a call. timestamp: of this attempt, in seconds since 1970."""
    encoded = secret.startswith(KEY_PREFIX)
    key = base64.b64decode(secret.removeprefix(KEY_PREFIX)) if encoded else secret.encode()
    digest = hmac.new(key, f"{call_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": call_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
