"""Store and enqueue a translation, for both the API and the command."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import Any

from dramatiq import Message

from app.translation import actors, callbacks, documents, models
from app.translation.detection import detect
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed, NotJson, TranslationRequest
from app.translation.settings import TranslationSettings
from app.translation.store import Translation
from app.translation.stored import StoreFull
from tandem import IdempotencyKey, JobRecord, QuotaExceeded, Settings, get_broker

# A client without a response retries within minutes; payment services keep such keys for a day.
KEY_EXPIRY_SECONDS = 86_400
# KEYS: key of a request. ARGV: its value.
_FORGET = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class InvalidKey(NotJson):
    """The Idempotency-Key is malformed."""


class KeyReused(NotAllowed):
    """The Idempotency-Key was used for another request."""


def check_key(text: str | None) -> str | None:
    """Return the header Idempotency-Key, if present. Raises InvalidKey."""
    if text is not None and not _KEY.fullmatch(text):
        raise InvalidKey("the Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID")
    return text


def submit(
    asked: TranslationRequest,
    settings: TranslationSettings,
    *,
    owner: str = "",
    file_name: str | None = None,
    idempotency_key: str | None = None,
) -> Translation:
    """Enqueue a translation and return it; for a key that its owner used before, return that translation.

    owner: the name of the request's token, "" for none. Without a source the text's language is detected. Record and
    message are stored together or not at all. Raises NotAllowed (Unreadable, Unsure of the language, or KeyReused),
    QueueFull, StoreFull, redis.RedisError and dramatiq's BrokerConnectionError; then nothing is enqueued.
    """
    model = models.choose(asked.model, settings)
    callbacks.check(asked.callback_url, settings)
    store, broker = actors.store(), get_broker()
    words = documents.words(asked.text, asked.format, max_parts=settings.translation_max_parts)
    source = asked.source or _detected(words, asked.target)
    translation = store.create(
        asked, model=model, source=source, detected=asked.source is None, file_name=file_name, owner=owner
    )
    once = _once(asked, file_name, translation.id, _key_of(owner, idempotency_key))
    message = actors.translate.message(translation.id)
    record = store.record(translation)
    while True:
        known = _send(message, record, once, settings)
        if known is None or once is None:
            # With the synchronous transport it has been translated already.
            return (store.get(translation.id) if Settings.current().queue_transport == "sync" else None) or translation
        first_id, _, fingerprint = known.partition(" ")
        if fingerprint != once.value.partition(" ")[2]:
            raise KeyReused("this Idempotency-Key was used for another request: use a new one for each translation")
        if first := store.get(first_id):
            return first
        # The translation has expired, so delete its key, unless another request has replaced it.
        broker.client.register_script(_FORGET)(keys=[once.key], args=[known])


def _send(
    message: Message[Any], record: JobRecord, once: IdempotencyKey | None, settings: TranslationSettings
) -> str | None:
    """Return the result of Broker.enqueue_once. Raises its errors, and StoreFull."""
    broker = get_broker()
    send = partial(broker.enqueue_once, message, record, once=once, most_waiting=Settings.current().queue_limit)
    try:
        return send()
    except QuotaExceeded:
        # Expired translations may still be counted.
        actors.store().stored.sweep()
    try:
        return send()
    except QuotaExceeded as error:
        raise StoreFull(error.stored, settings.translation_store) from error


def _detected(words: str, target: str) -> str:
    code = detect(words)
    if code == target:
        found = f"the text is already in {LANGUAGES[code]} ({code}), as detected"
        raise NotAllowed(f"{found}: give another target, or give source if this is wrong")
    return code


def _key_of(owner: str, key: str | None) -> str | None:
    """Qualify the key by its owner, so that other owners can neither use nor detect it. Keys have no spaces."""
    return f"{owner} {key}" if owner and key is not None else key


def _once(asked: TranslationRequest, file_name: str | None, id_: str, key: str | None) -> IdempotencyKey | None:
    if key is None:
        return None
    fingerprint = hashlib.sha256(f"{file_name or ''}\n{asked.model_dump_json()}".encode()).hexdigest()
    name = hashlib.sha256(key.encode()).hexdigest()
    return IdempotencyKey(f"tandem:request:{name}", f"{id_} {fingerprint}", KEY_EXPIRY_SECONDS)
