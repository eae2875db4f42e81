"""Has one part of a text translated: asks, looks at the answer, and asks again when it is no good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from app.translation.documents.masks import Masked, PlaceholdersChanged, mask
from app.translation.engine import glossary, prompt
from app.translation.engine.guards import cleaned, find_problem
from app.translation.engine.ollama import UNFINISHED, BadAnswer, Call, Ollama
from app.translation.parts import Part, Problem

#: How often a part is asked for in one go. The model decides the same way again unless it is told what was wrong.
TRIES = 3

_NOT_ASKED = Problem("", "", kept="source")


class Kept(Protocol):
    """Where answers lie that may be wanted again."""

    def get(self, asked: object) -> str | None: ...

    def put(self, asked: object, answer: str) -> None: ...


@dataclass(frozen=True)
class Wish:
    """How a text is to be translated."""

    model: str
    source: str | None
    target: str
    glossary: Mapping[str, str]
    markdown: bool


class Translator:
    """Translates parts with `ollama`; answers that were good are kept in `kept`, if there is one."""

    def __init__(self, ollama: Ollama, kept: Kept | None) -> None:
        self._ollama = ollama
        self._kept = kept

    def translate(self, text: str, wish: Wish, call: Call, *, before_asking: Callable[[], None]) -> Part:
        """The part, with what is wrong with it after all tries.

        before_asking: called before each call of the model; may raise to put the rest off. Raises OllamaError, also
        BadAnswer when there was not one whole answer, and Cut.
        """
        masked = mask(text, markdown=wish.markdown)
        if not masked.has_words:
            return Part(text)
        terms = glossary.relevant(wish.glossary, masked.text)
        asked = [prompt.VERSION, wish.model, wish.source, wish.target, sorted(terms.items()), masked.text]
        if self._kept is not None and (answer := self._kept.get(asked)):
            return Part(masked.restore(answer))
        answer, problem = self._ask(masked, wish, terms, call, before_asking)
        if problem is None:
            if self._kept is not None:
                self._kept.put(asked, answer)
            unused = glossary.find_unused(terms, masked.text, answer)
            return Part(masked.restore(answer), (unused,) if unused else ())
        return Part(text if problem.kept == "source" else masked.restore(answer), (problem,))

    def _ask(
        self, masked: Masked, wish: Wish, terms: Mapping[str, str], call: Call, before_asking: Callable[[], None]
    ) -> tuple[str, Problem | None]:
        """The best answer, as it came over the masks, and what is wrong with it."""
        best = "", _NOT_ASKED
        problem: Problem | None = None
        for again in range(TRIES):
            before_asking()
            why = problem.detail if problem else None
            messages = prompt.messages(masked.text, source=wish.source, target=wish.target, glossary=terms, again=why)
            answer = ""
            try:
                answer = cleaned(masked.text, self._ollama.chat(wish.model, messages, call=call, again=again))
                problem = _problem(masked, answer, wish.target)
            except BadAnswer as error:
                problem = Problem(error.kind, str(error), kept="source")
            if problem is None:
                return answer, None
            # Something that can be read is better than nothing, and a whole answer better than half of one.
            if problem.kept == "answer" or best[1].kind in (_NOT_ASKED.kind, UNFINISHED):
                best = answer, problem
        if best[1].kind == UNFINISHED:
            raise BadAnswer(UNFINISHED, best[1].detail)
        return best


def _problem(masked: Masked, answer: str, target: str) -> Problem | None:
    problem = find_problem(masked.text, answer, target=target)
    try:
        masked.restore(answer)
    except PlaceholdersChanged as error:
        return replace(problem, kept="source") if problem else Problem("placeholders", str(error), kept="source")
    return problem
