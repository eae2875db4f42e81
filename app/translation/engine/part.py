"""Translate one part of a text: ask the model, check the answer, and ask again if it is bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from app.translation import measures
from app.translation.documents.placeholders import PlaceholdersChanged, ProtectedText, protect
from app.translation.documents.splitter import split, tokens
from app.translation.engine import glossary, prompt
from app.translation.engine.ollama import LOOP, UNFINISHED, BadAnswer, Call, Ollama, TooLong
from app.translation.engine.quality_checks import find_problem, strip_commentary
from app.translation.engine.repetition import has_repetition
from app.translation.parts import Part, Problem

#: Attempts for a part within one delivery. The prompt of a retry says what was wrong, or the answer would be the same.
MAX_ATTEMPTS = 3

#: Minimum tokens of the pieces into which a part is split if it does not fit the model's context.
MIN_PIECE_TOKENS = 16

_NOT_ASKED = Problem("", "", kept="source")


class AnswerCache(Protocol):
    """A cache of answers by what was asked."""

    def get(self, asked: object) -> str | None: ...

    def put(self, asked: object, answer: str) -> None: ...


@dataclass(frozen=True)
class Options:
    """How a text is to be translated."""

    model: str
    source: str | None
    target: str
    glossary: Mapping[str, str]
    markdown: bool


class Translator:
    """Translates parts with `ollama`; stores good answers in `cache`, if given."""

    def __init__(self, ollama: Ollama, cache: AnswerCache | None) -> None:
        self._ollama = ollama
        self._cache = cache

    def translate(self, text: str, options: Options, call: Call, *, before_asking: Callable[[], None]) -> Part:
        """Translate a part and list its problems after all attempts; split it if it does not fit the context.

        before_asking: called before each call of the model; may raise to snooze the rest. Raises OllamaError, also
        BadAnswer if no answer was complete, and Cancelled.
        """
        try:
            return self._translate_whole(text, options, call, before_asking)
        except TooLong as error:
            budget = max(MIN_PIECE_TOKENS, tokens(text) // 2)
            if tokens(text) <= MIN_PIECE_TOKENS:
                return Part(text, (Problem("context", str(error), kept="source"),))
        parts = [
            self.translate(piece, options, call, before_asking=before_asking) if is_text else Part(piece)
            for is_text, piece in split(text, budget)
        ]
        problems = dict.fromkeys(problem for part in parts for problem in part.problems)
        return Part("".join(part.text for part in parts), tuple(problems))

    def _translate_whole(self, text: str, options: Options, call: Call, before_asking: Callable[[], None]) -> Part:
        protected = protect(text, markdown=options.markdown)
        if not protected.has_words:
            return Part(text)
        terms = glossary.relevant(options.glossary, protected.text)
        asked = [prompt.VERSION, options.model, options.source, options.target, sorted(terms.items()), protected.text]
        if answer := self._cached(asked):
            return Part(protected.restore(answer))
        answer, problem, is_first = self._ask(protected, options, terms, call, before_asking)
        if problem is None:
            # Later answers belong to another prompt, which describes the problem of the answer before.
            if self._cache is not None and is_first:
                self._cache.put(asked, answer)
            unused = glossary.find_unused(terms, protected.text, answer)
            return Part(protected.restore(answer), (unused,) if unused else ())
        return Part(text if problem.kept == "source" else protected.restore(answer), (problem,))

    def _cached(self, asked: object) -> str | None:
        if self._cache is None:
            return None
        answer = self._cache.get(asked)
        measures.CACHE.add(result="hit" if answer else "miss")
        return answer

    def _ask(
        self,
        protected: ProtectedText,
        options: Options,
        terms: Mapping[str, str],
        call: Call,
        before_asking: Callable[[], None],
    ) -> tuple[str, Problem | None, bool]:
        """Return the best answer, still with tokens, its problem, and whether it was the first answer."""
        best = "", _NOT_ASKED
        feedback: str | None = None
        for retries in range(MAX_ATTEMPTS):
            before_asking()
            messages = prompt.messages(
                protected.text, source=options.source, target=options.target, glossary=terms, feedback=feedback
            )
            answer = ""
            try:
                answer = strip_commentary(
                    protected.text, self._ollama.chat(options.model, messages, call=call, retries=retries)
                )
                problem, feedback = _problem(protected, answer, options.target)
            except BadAnswer as error:
                problem, feedback = Problem(_kind(error, protected.text), str(error), kept="source"), str(error)
            if problem is None:
                return answer, None, retries == 0
            # A readable answer is better than none, and a complete answer better than an incomplete one.
            if problem.kept == "answer" or best[1].kind in (_NOT_ASKED.kind, UNFINISHED):
                best = answer, problem
        if best[1].kind == UNFINISHED:
            raise BadAnswer(UNFINISHED, best[1].detail)
        return *best, False


def _kind(error: BadAnswer, source: str) -> str:
    """Return the kind of an incomplete answer: if it repeats itself, that is why Ollama ended it."""
    return LOOP if error.kind == UNFINISHED and has_repetition(source, error.answer) else error.kind


def _problem(protected: ProtectedText, answer: str, target: str) -> tuple[Problem | None, str | None]:
    """Return the problem of an answer, and the feedback about it for the prompt of the retry."""
    problem = find_problem(protected.text, answer, target=target)
    feedback = problem.detail if problem else None
    try:
        protected.restore(answer)
    except PlaceholdersChanged as error:
        lost = Problem("placeholders", str(error), kept="source")
        return (replace(problem, kept="source"), feedback) if problem else (lost, error.by_number)
    return problem, feedback
