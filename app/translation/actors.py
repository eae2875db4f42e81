"""The actor that translates. Importing this declares it on the broker that is installed."""

from __future__ import annotations

import inspect
import logging
from functools import cache
from typing import Any

import dramatiq
from dramatiq.middleware import TimeLimitExceeded

from app import settings
from app.queueing.broker import must_pause, was_resent
from app.queueing.connection import connect
from app.queueing.errors import Continue, PermanentError
from app.translation.documents.chunks import Document, split
from app.translation.engine import prompt
from app.translation.engine.ollama import Ollama, OllamaError
from app.translation.store import Part, Store, Translation

logger = logging.getLogger(__name__)

#: Tokens of one chunk: with the prompt and an answer twice as long it stays well inside the smallest context.
CHUNK_TOKENS = 500


@cache
def store() -> Store:
    """The translations of this process's Redis."""
    config = settings.current()
    return Store(connect(config, decode=True), retention=config.translation_retention)


@cache
def ollama() -> Ollama:
    """This process's client; its connections are shared by all threads."""
    config = settings.current()
    return Ollama(config.ollama_url, timeout=config.ollama_timeout, num_ctx=config.ollama_num_ctx)


def give_up(message: Any, exception: BaseException) -> None:
    """Tells the one who waits why there will be no translation."""
    # It can have been sent with names, as `queue send` allows.
    sent = inspect.signature(translate.fn).bind(*message.args, **message.kwargs)
    store().fail(sent.arguments["translation_id"], _reason(exception))


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeLimitExceeded):
        limit = settings.current().message_time_limit
        return f"the model took longer than a message may ({limit} s, MESSAGE_TIME_LIMIT)"
    known = isinstance(error, (OllamaError, PermanentError))
    return str(error) if known else f"unexpected {type(error).__name__}: {error}"


def _open_job(translation_id: str) -> Translation | None:
    """The translation if there is something to do."""
    if was_resent() and store().reopen(translation_id):
        logger.info("tries a failed translation again")
    job = store().get(translation_id)
    if job and not job.ended:
        return job
    logger.info("nothing to do: the translation %s has ended or is gone", translation_id)
    if job and job.status == "failed":
        # Its worker died between the two; the message still has to become a dead letter.
        raise PermanentError(job.error)
    return None


@dramatiq.actor(queue_name="translations", on_failed=give_up)
def translate(translation_id: str) -> None:
    """Translates what is stored under this id, chunk by chunk, going on behind the chunks that are done."""
    job = _open_job(translation_id)
    if job is None:
        return
    document = split(job.text, budget=CHUNK_TOKENS)
    run = store().start(job.id, total=len(document.chunks))
    if run is None:
        return
    try:
        done = _translate_chunks(job, run, document)
    except Continue:
        store().requeue(job.id, run)
        raise
    except (Exception, TimeLimitExceeded) as error:
        store().requeue(job.id, run, error=_reason(error))
        raise
    store().finish(job.id, run, document.join([done[number].text for number in range(len(document.chunks))]))


def _translate_chunks(job: Translation, run: str, document: Document) -> dict[int, Part]:
    """All chunks by their numbers; those that are missing are translated and stored one by one."""
    done = store().chunks(job.id)
    for number, chunk in enumerate(document.chunks):
        if number not in done:
            if must_pause(settings.current().ollama_timeout):
                raise Continue
            asked = prompt.messages(chunk.text, source=job.source, target=job.target)
            done[number] = Part(ollama().chat(job.model, asked))
            if not store().add_chunk(job.id, run, number, done[number]):
                logger.warning("another worker has taken this translation over, or it has ended")
                raise Continue
    return done
