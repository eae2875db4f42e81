"""Puts a translation into the store and the queue: the one way in, for the API and the command alike."""

from __future__ import annotations

import hashlib
import re

from app.queueing.broker import installed
from app.queueing.submission import Once
from app.settings import Settings
from app.translation import actors, callbacks, documents, models
from app.translation.detection import detect
from app.translation.languages import LANGUAGES
from app.translation.request import NotAllowed, NotJson, TranslationRequest
from app.translation.store import Translation

# A client that heard nothing tries again within minutes; a day is what payment services keep such keys for.
KEY_KEPT_SECONDS = 86_400
# KEYS: key of a request. ARGV: what it is remembered by.
_FORGET = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class BadKey(NotJson):
    """An Idempotency-Key that cannot be one."""


class OtherRequest(NotAllowed):
    """An Idempotency-Key that was used for something else."""


def check_key(text: str | None) -> str | None:
    """The value of the header Idempotency-Key, if there is one. Raises BadKey."""
    if text is not None and not _KEY.fullmatch(text):
        raise BadKey("the Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID")
    return text


def submit(
    asked: TranslationRequest,
    settings: Settings,
    *,
    file_name: str | None = None,
    idempotency_key: str | None = None,
) -> Translation:
    """The queued translation; with a key that was used before, the one of then, as it is now.

    Without a source the text's language is found out. Record and message are stored together or not at all. Raises
    NotAllowed (Unreadable, Unsure of the language, or OtherRequest), QueueFull, redis.RedisError and
    dramatiq's BrokerConnectionError; nothing is queued then.
    """
    model = models.choose(asked.model, settings)
    callbacks.check(asked.callback_url, settings)
    store, broker = actors.store(), installed()
    words = documents.words(asked.text, asked.format)
    source = asked.source or _detected(words, asked.target)
    translation = store.create(asked, model=model, source=source, detected=asked.source is None, file_name=file_name)
    once = _once(asked, file_name, translation.id, idempotency_key)
    message = actors.translate.message(translation.id)
    while True:
        known = broker.submit(message, store.record(translation), once=once, most_waiting=settings.queue_limit)
        if known is None or once is None:
            # Without a queue it has been translated meanwhile.
            return (store.get(translation.id) if settings.queue_transport == "sync" else None) or translation
        first_id, _, fingerprint = known.partition(" ")
        if fingerprint != once.value.partition(" ")[2]:
            raise OtherRequest("this Idempotency-Key was used for another request: use a new one for each translation")
        if first := store.get(first_id):
            return first
        # It was kept long enough and is forgotten, so its key is as well, unless another request was here before.
        broker.client.register_script(_FORGET)(keys=[once.key], args=[known])


def _detected(words: str, target: str) -> str:
    code = detect(words)
    if code == target:
        found = f"the text seems to be in {LANGUAGES[code]} ({code}) already"
        raise NotAllowed(f"{found}: give another target, or source if this is wrong")
    return code


def _once(asked: TranslationRequest, file_name: str | None, id_: str, key: str | None) -> Once | None:
    if key is None:
        return None
    fingerprint = hashlib.sha256(f"{file_name or ''}\n{asked.model_dump_json()}".encode()).hexdigest()
    name = hashlib.sha256(key.encode()).hexdigest()
    return Once(f"tandem:request:{name}", f"{id_} {fingerprint}", KEY_KEPT_SECONDS)
