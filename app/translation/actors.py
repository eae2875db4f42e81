"""The actor that translates. Importing this declares it on the broker that is installed."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import dramatiq
from dramatiq.middleware import TimeLimitExceeded

from app import settings
from app.queueing.broker import is_last_attempt, must_pause, was_resent
from app.queueing.connection import connect
from app.queueing.errors import Continue, PermanentError
from app.translation import callbacks, documents, models, pulls
from app.translation.cache import Cache
from app.translation.documents.chunks import Document
from app.translation.engine.ollama import BadAnswer, Cut, ModelMissing, Ollama, OllamaError
from app.translation.engine.part import Translator, Wish
from app.translation.parts import Part, Problem
from app.translation.running import Running
from app.translation.store import Store, Translation

logger = logging.getLogger(__name__)

# How long a translation is put off whose model is being pulled (ms).
LOOK_FOR_MODEL = 5000
# What a problem tells of its part, in characters.
EXCERPT = 200


@cache
def store() -> Store:
    """The translations of this process's Redis."""
    config = settings.current()
    return Store(connect(config, decode=True), retention=config.translation_retention, at_end=callbacks.message_at_end)


@cache
def ollama() -> Ollama:
    """This process's client; all threads share it."""
    config = settings.current()
    return Ollama(config.ollama_url, timeout=config.ollama_timeout, num_ctx=config.ollama_num_ctx)


@cache
def translator() -> Translator:
    """What this process translates parts with."""
    config = settings.current()
    if not config.translation_cache:
        return Translator(ollama(), None)
    client, retention = connect(config, decode=True), config.translation_retention
    return Translator(ollama(), Cache(client, most_bytes=config.translation_cache, retention=retention))


running = Running(lambda: store())


class NothingTranslated(PermanentError):
    """The model answered, but not one part came out well."""


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
    document = documents.read(job.text, job.format, budget=documents.CHUNK_TOKENS)
    run = store().start(job.id, total=len(document.chunks))
    if run is None:
        return
    try:
        parts = _translate_chunks(job, run, document)
        problems = list(_problems(document, parts))
        store().finish(job.id, run, document.join([part.text for part in parts]), problems)
    except Cut:
        _stop(job.id)
    except ModelMissing as error:
        store().requeue(job.id, run, error=_reason(error))
        _wait_for_model(job.model, error)
    except Continue:
        store().requeue(job.id, run)
        raise
    except (Exception, TimeLimitExceeded) as error:
        store().requeue(job.id, run, error=_reason(error))
        raise


def _wait_for_model(model: str, error: ModelMissing) -> None:
    """Puts a translation off while the start pulls its model: raises Continue, or an error where nothing is pulled."""
    if not models.is_to_be_pulled(model, settings.current()):
        raise error
    if pulls.running():
        raise Continue(f"the model {model} is being pulled", delay=LOOK_FOR_MODEL)
    # The pull begins when the server answers, or was given up.
    raise OllamaError(str(error)) from error


def _stop(id: str) -> None:
    state = store().state(id)
    if state and not state.ended:
        logger.warning("another worker has taken this translation over")
        raise Continue
    logger.info("stopped: the translation was cancelled")


def _translate_chunks(job: Translation, run: str, document: Document) -> list[Part]:
    """All chunks in order; those that are missing are translated and stored one by one."""
    done = _finished(job.id, document)
    wish = Wish(job.model, job.source, job.target, job.glossary, markdown=job.format == "markdown")
    for number, chunk in enumerate(document.chunks):
        if number not in done:
            done[number] = replace(_translate_chunk(job.id, run, chunk.text, wish), of=_digest(chunk.text))
            if not store().add_chunk(job.id, run, number, done[number]):
                raise Cut
    return [done[number] for number in range(len(document.chunks))]


def _finished(id: str, document: Document) -> dict[int, Part]:
    """The chunks that are done, without those that belong to no chunk of this document."""
    digests = {number: _digest(chunk.text) for number, chunk in enumerate(document.chunks)}
    parts = store().chunks(id)
    done = {number: part for number, part in parts.items() if part.of == digests.get(number)}
    store().drop_chunks(id, parts.keys() - done.keys())
    return done


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _translate_chunk(id: str, run: str, text: str, wish: Wish) -> Part:
    with running.call(id, run) as call:
        try:
            return translator().translate(text, wish, call, before_asking=_pause_in_time)
        except BadAnswer as error:
            if not is_last_attempt():
                raise
            return Part(text, (Problem(error.kind, str(error), kept="source"),))


def _pause_in_time() -> None:
    if must_pause(settings.current().ollama_timeout):
        raise Continue


def _problems(document: Document, parts: list[Part]) -> Iterator[Mapping[str, Any]]:
    """What clients get to know of each part's problems. Raises NothingTranslated."""
    lost = [problem for part in parts for problem in part.problems if problem.kept == "source"]
    if lost and not any(_came_out(chunk.text, part) for chunk, part in zip(document.chunks, parts, strict=True)):
        raise NothingTranslated(lost[0].detail)
    for number, (chunk, part) in enumerate(zip(document.chunks, parts, strict=True), start=1):
        for problem in part.problems:
            yield {"part": number, **vars(problem), "source": chunk.text[:EXCERPT]}


def _came_out(source: str, part: Part) -> bool:
    """Whether the model had a hand in it."""
    return part.text != source and all(problem.kept == "answer" for problem in part.problems)
