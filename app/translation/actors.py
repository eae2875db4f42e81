"""The actor that translates. Importing this module declares it on the current broker."""

from __future__ import annotations

import hashlib
import inspect
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NoReturn

import dramatiq
from dramatiq.middleware import TimeLimitExceeded

from app.translation import callbacks, documents, measures
from app.translation.cache import Cache
from app.translation.call_monitor import CallMonitor
from app.translation.circuit_breaker import CircuitBreaker
from app.translation.documents.chunks import Document
from app.translation.engine.ollama import (
    BadAnswer,
    Call,
    Cancelled,
    ModelMissing,
    NoAnswer,
    Ollama,
    OllamaError,
    Unavailable,
)
from app.translation.engine.part import Options, Translator
from app.translation.parts import Part, Problem
from app.translation.settings import TranslationSettings
from app.translation.store import Store, Translation
from app.translation.waiting import WaitForModel, Waiting
from tandem import Canceled, NoProgress, PermanentError, Purged, Settings, Snooze, connect, get_broker, job

logger = logging.getLogger(__name__)

# A loaded model answers a load request within this many seconds; if it took longer, the model was not loaded.
MAX_WARM_SECONDS = 2.0
# Maximum seconds of a wait without a time limit.
MAX_WAIT = 3600.0
# Seconds of a message's time limit that are reserved for the work after the longest wait.
MIN_REMAINING = 10.0
# Maximum characters of a part's source in a problem.
EXCERPT = 200


@cache
def store() -> Store:
    """Return the store of translations."""
    config = TranslationSettings.current()
    return Store(
        connect(Settings.current(), decode=True),
        retention=config.translation_retention,
        max_bytes=config.translation_store,
        at_end=callbacks.message_at_end,
    )


@cache
def ollama() -> Ollama:
    """Return the Ollama client of this process, shared by all threads."""
    config = TranslationSettings.current()
    return Ollama(config.ollama_url, timeout=config.ollama_timeout, num_ctx=config.ollama_num_ctx)


@cache
def translator() -> Translator:
    """Return the translator of this process."""
    config = TranslationSettings.current()
    if not config.translation_cache:
        return Translator(ollama(), None)
    client, retention = connect(Settings.current(), decode=True), config.translation_retention
    return Translator(ollama(), Cache(client, max_bytes=config.translation_cache, retention=retention))


@cache
def breaker() -> CircuitBreaker:
    """Return the circuit breakers of the models."""
    return CircuitBreaker(connect(Settings.current(), decode=True))


def waiting() -> Waiting:
    """Return the policy for translations whose model is unavailable."""
    return Waiting(store(), breaker(), TranslationSettings.current(), get_broker().store.clock)


call_monitor = CallMonitor(
    lambda: store(),
    breaker=lambda: breaker(),
    silence=lambda: TranslationSettings.current().ollama_timeout,
    is_stopping=job.is_stopping,
)


class NothingTranslated(PermanentError):
    """The model answered, but no part was translated successfully."""


def give_up(message: Any, exception: BaseException) -> None:
    """Mark the translation of a failed message as failed, with the reason."""
    store().fail(_id_in(message), _reason(exception), for_good=isinstance(exception, Purged))


def drop(message: Any) -> None:
    """Free the memory of a translation whose dead letter was removed."""
    store().drop(_id_in(message))


def _id_in(message: Any) -> str:
    # The id may be a keyword argument, as `queue send` allows.
    sent = inspect.signature(translate.fn).bind(*message.args, **message.kwargs)
    return str(sent.arguments["translation_id"])


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeLimitExceeded):
        limit = Settings.current().message_time_limit
        return f"the translation took longer than MESSAGE_TIME_LIMIT={limit} seconds"
    known = isinstance(error, (OllamaError, PermanentError, NoProgress, Canceled))
    return str(error) if known else f"unexpected {type(error).__name__}: {error}"


def _load_open(translation_id: str) -> Translation | None:
    """Load the translation without its texts; None if it has ended or is gone."""
    if job.is_replay() and store().reopen(translation_id):
        logger.info("retrying a failed translation")
    translation = store().without_texts(translation_id)
    if translation and not translation.ended:
        return translation
    logger.info("nothing to do: translation %s has ended or does not exist", translation_id)
    if translation and translation.status == "failed":
        # The worker died after marking it as failed; the message still has to be dead-lettered.
        raise PermanentError(translation.error)
    return None


@dramatiq.actor(queue_name="translations", on_failed=give_up, on_removed=drop)
def translate(translation_id: str) -> None:
    """Translate the stored text of this id, chunk by chunk, resuming after the finished chunks."""
    open_translation = _load_open(translation_id)
    if open_translation is None:
        return
    tries = waiting().enter(open_translation)
    translation = store().get(translation_id)
    if translation is None:
        return
    document = documents.read(translation.text, translation.format, budget=documents.CHUNK_TOKENS)
    run = store().start(translation.id, total=len(document.chunks), waited=bool(translation.waiting_since))
    if run is None:
        return
    try:
        _translate_all(translation, run, document, tries=tries)
    except Cancelled:
        _handle_cancelled(translation.id, run)
    except WaitForModel:
        raise
    except Snooze:
        store().requeue(translation.id, run)
        raise
    except (Exception, TimeLimitExceeded) as error:
        store().requeue(translation.id, run, error=_reason(error))
        _snooze_after_progress(translation, error)
        raise


def _translate_all(translation: Translation, run: str, document: Document, *, tries: bool) -> None:
    """Translate the unfinished chunks and store the result. tries: whether the model has to be tried first.

    Raises WaitForModel if the model is unavailable, and the errors of its calls.
    """
    if tries:
        _load_model(translation, run, breaker().reason(translation.model) or "")
    try:
        parts = _translate_chunks(translation, run, document)
    except NoAnswer as error:
        _handle_no_answer(translation, run, error)
    except (Unavailable, ModelMissing) as error:
        waiting().model_unavailable(translation, error, run=run, tried=False)
    problems = list(_problems(document, parts))
    for problem in problems:
        measures.PROBLEMS.add(kind=problem["kind"])
    text = document.join([part.text for part in parts])
    store().finish(translation.id, run, text, problems, _untranslated(translation, document))


def _load_model(translation: Translation, run: str, reason: str) -> None:
    """Load the model on behalf of all translations that wait for it because of `reason`.

    Raises WaitForModel if that fails, and the errors of `Waiting` and of the call.
    """
    try:
        _call_load(translation, run, wait=min(_longest_wait(), waiting().report(translation, reason, run=run)))
    except (Unavailable, ModelMissing) as error:
        waiting().model_unavailable(translation, error, run=run, tried=True)
    waiting().report(translation, "", run=run)


def _call_load(translation: Translation, run: str, *, wait: float) -> None:
    with call_monitor.call(
        translation.id, run, wait=wait, heartbeat=lambda: breaker().heartbeat(translation.model), patient=True
    ) as call:
        ollama().load(translation.model, call=call)
    breaker().reset(translation.model)


def _handle_no_answer(translation: Translation, run: str, error: NoAnswer) -> NoReturn:
    """Distinguish a model that was being loaded from one that is silent on this text.

    Raises Snooze if the model was loaded just now, or if the translation has to wait, else the error of a failed
    attempt.
    """
    waiting().claim(translation, error, run=run)
    began = time.monotonic()
    _load_model(translation, run, str(error))
    if time.monotonic() - began > MAX_WARM_SECONDS:
        waiting().snooze(translation, f"{error}, because the model was being loaded", delay=0, run=run)
    raise OllamaError(str(error)) from error


def _snooze_after_progress(translation: Translation, error: BaseException) -> None:
    """Raise Snooze if Ollama failed after parts were finished: an attempt with progress does not count."""
    if not isinstance(error, OllamaError) or isinstance(error, (PermanentError, BadAnswer)):
        return
    state = store().state(translation.id)
    if state and state.done > translation.done:
        raise Snooze(str(error), delay=Settings.current().retry_delay) from error


def _handle_cancelled(id: str, run: str) -> None:
    state = store().state(id)
    if state and not state.ended:
        store().requeue(id, run)
        logger.info("stopping: this worker shuts down, or another one has taken over the translation")
        raise Snooze(progress=state.done)
    logger.info("stopped: the translation was cancelled")


def _translate_chunks(translation: Translation, run: str, document: Document) -> list[Part]:
    """Return all chunks in order; translate and store the unfinished ones one by one."""
    done = _finished(translation.id, document)
    options = Options(
        translation.model,
        translation.source,
        translation.target,
        translation.glossary,
        markdown=translation.format == "markdown",
    )
    found = len(done)

    def check_time(call: Call) -> None:
        if job.should_yield(TranslationSettings.current().ollama_timeout, begun=len(done) > found):
            raise Snooze(progress=len(done))
        call.wait = _longest_wait()

    for number, chunk in enumerate(document.chunks):
        if number not in done:
            part = _translate_chunk(translation.id, run, chunk.text, options, check_time)
            done[number] = replace(part, of=_digest(chunk.text))
            if not store().add_chunk(translation.id, run, number, done[number]):
                raise Cancelled
    return [done[number] for number in range(len(document.chunks))]


def _finished(id: str, document: Document) -> dict[int, Part]:
    """Return the finished chunks, and delete those that match no chunk of this document."""
    digests = {number: _digest(chunk.text) for number, chunk in enumerate(document.chunks)}
    parts = store().chunks(id)
    done = {number: part for number, part in parts.items() if part.of == digests.get(number)}
    store().drop_chunks(id, parts.keys() - done.keys())
    return done


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _translate_chunk(id: str, run: str, text: str, options: Options, check_time: Callable[[Call], None]) -> Part:
    with call_monitor.call(id, run) as call:
        try:
            return translator().translate(text, options, call, before_asking=lambda: check_time(call))
        except BadAnswer as error:
            if not job.is_last_attempt():
                raise
            return Part(text, (Problem(error.kind, str(error), kept="source"),))


def _longest_wait() -> float:
    """Return the maximum seconds to wait for the first byte while Ollama is busy with other calls or loading."""
    timeout = TranslationSettings.current().ollama_timeout
    return float(timeout) if waiting().is_off else max(timeout, min(job.seconds_left(), MAX_WAIT) - MIN_REMAINING)


def _problems(document: Document, parts: list[Part]) -> Iterator[Mapping[str, Any]]:
    """Yield the problems of the parts as JSON for clients. Raises NothingTranslated."""
    lost = [problem for part in parts for problem in part.problems if problem.kept == "source"]
    if lost and not any(_is_translated(chunk.text, part) for chunk, part in zip(document.chunks, parts, strict=True)):
        raise NothingTranslated(lost[0].detail)
    for number, (chunk, part) in enumerate(zip(document.chunks, parts, strict=True), start=1):
        for problem in part.problems:
            yield {"part": number, **vars(problem), "source": chunk.text[:EXCERPT]}
    for flaw in document.flaws:
        yield {
            "part": min(flaw.part, len(document.chunks)),
            "kind": flaw.kind,
            "detail": flaw.detail,
            "kept": "source",
            "source": flaw.source[:EXCERPT],
        }


def _untranslated(translation: Translation, document: Document) -> list[dict[str, Any]]:
    """Count what stays untranslated on purpose, between the parts and within them."""
    for chunk in document.chunks:
        document.untranslated.add_hidden(chunk.text, markdown=translation.format == "markdown")
    return document.untranslated.public()


def _is_translated(source: str, part: Part) -> bool:
    """Return whether the part contains an answer of the model."""
    return part.text != source and all(problem.kept == "answer" for problem in part.problems)
