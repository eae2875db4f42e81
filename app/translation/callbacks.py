"""Tells whoever asked for a translation that it has ended: a signed POST to its callback_url.

Headers, signature and body follow Standard Webhooks 1.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md). A call can come twice; its
webhook-id stays the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from uuid import uuid4

import dramatiq

from app import outbound, settings
from app.queueing.along import Along
from app.queueing.broker import installed
from app.queueing.errors import PermanentError
from app.translation.request import NotAllowed
from app.translation.store import Status

logger = logging.getLogger(__name__)

#: How many calls may run at the same time at most, over all containers on one Redis: receivers can be slow.
AT_ONCE = 4


def check(url: str | None, config: settings.Settings) -> None:
    """Whether a request may name this callback_url. Raises NotAllowed."""
    if url is None:
        return
    if config.callback_secret is None:
        raise NotAllowed("callback_url is not taken here: calls are signed, and CALLBACK_SECRET is not set")
    try:
        outbound.check(url, private=config.callback_private)
    except outbound.BadUrl as error:
        raise NotAllowed(f"callback_url is {error}") from error


def message_at_end(translation_id: str, status: Status) -> Along:
    """The message that calls back when a translation has ended so."""
    return installed().along(call_back.message(translation_id, status, f"msg_{uuid4().hex}"))


# Tried again after 5 s, 10 s, 20 s and so on: for 43 minutes in all.
@dramatiq.actor(queue_name="callbacks", max_retries=9, retry_delay=5000)
def call_back(translation_id: str, status: str, call_id: str) -> None:
    """Posts the translation as it ended. `call_id`: what the receiver knows a second call by."""
    from app.translation import actors  # imports this module

    translation = actors.store().get(translation_id)
    if translation is None or translation.callback_url is None or translation.status != status:
        logger.info("nobody to call: the translation %s is gone, or tried again", translation_id)
        return
    config = settings.current()
    if config.callback_secret is None:
        raise PermanentError("the call cannot be signed: CALLBACK_SECRET is not set")
    event = {"type": f"translation.{status}", "timestamp": translation.finished_at, "data": translation.public()}
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    headers = signed(config.callback_secret.get_secret_value(), call_id, int(time.time()), body)
    outbound.post(translation.callback_url, body, headers, private=config.callback_private)


def signed(secret: str, call_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a call. `timestamp`: seconds since 1970, of this attempt."""
    encoded = secret.startswith(settings.KEY_PREFIX)
    key = base64.b64decode(secret.removeprefix(settings.KEY_PREFIX)) if encoded else secret.encode()
    digest = hmac.new(key, f"{call_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": call_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
