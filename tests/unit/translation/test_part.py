"""One part of a text: a bad answer is asked for again, then named; what is no language never reaches the model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.translation.engine.ollama import TRUNCATED, UNFINISHED, BadAnswer, Call, Cut, OllamaError
from app.translation.engine.part import TRIES, Translator, Wish
from app.translation.parts import Part

SOURCE = "The red house is very beautiful today, and the garden is full of flowers."
GOOD = "La casa roja es muy bella hoy, y el jardín está lleno de flores."
WISH = Wish(model="m", source="en", target="es", glossary={}, markdown=False)


class Model:
    """Answers what it is told to, one after the other; hears what it was asked."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers: Iterator[str | Exception] = iter(answers)
        self.asked: list[tuple[list[dict[str, str]], int]] = []

    def chat(self, _model: str, messages: list[dict[str, str]], *, call: Call, again: int) -> str:
        self.asked.append((messages, again))
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Kept:
    """A cache."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}

    def put(self, asked: object, answer: str) -> None:
        self.answers[str(asked)] = answer

    def get(self, asked: object) -> str | None:
        return self.answers.get(str(asked))


def translate(model: Model, text: str = SOURCE, wish: Wish = WISH, kept: Kept | None = None) -> Part:
    translator = Translator(model, kept)  # type: ignore[arg-type]
    return translator.translate(text, wish, Call(), before_asking=lambda: None)


def kinds(part: Part) -> list[tuple[str, str]]:
    return [(problem.kind, problem.kept) for problem in part.problems]


def test_a_good_answer_is_the_translation() -> None:
    model = Model(GOOD)
    assert translate(model) == Part(GOOD)
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    "bad", ["", SOURCE, "La casa. " * 100, BadAnswer(TRUNCATED, "cut"), BadAnswer(UNFINISHED, "broke off")]
)
def test_a_bad_answer_is_asked_for_again_in_another_way(bad: str | Exception) -> None:
    model = Model(bad, bad, GOOD)

    assert translate(model) == Part(GOOD)
    assert [again for _, again in model.asked] == [0, 1, 2]
    first, second = (messages for messages, _ in model.asked[:2])
    assert first != second


def test_an_answer_that_stays_empty_leaves_the_source_and_says_so() -> None:
    part = translate(Model(*[""] * TRIES))
    assert part.text == SOURCE
    assert kinds(part) == [("empty", "source")]


def test_an_answer_that_stays_cut_leaves_the_source_and_says_so() -> None:
    part = translate(Model(*[BadAnswer(TRUNCATED, "the answer was cut")] * TRIES))
    assert part.text == SOURCE
    assert kinds(part) == [("truncated", "source")]


def test_placeholders_come_back_as_they_were() -> None:
    class Shouting(Model):
        def chat(self, model: str, messages: list[dict[str, str]], *, call: Call, again: int) -> str:
            return "Bien: " + messages[-1]["content"].replace("Hello", "Hola").replace("you have", "usted tiene")

    part = translate(Shouting(), "Hello {name}, you have %d messages from <b>{{ sender }}</b>.")
    assert part == Part("Bien: Hola {name}, usted tiene %d messages from <b>{{ sender }}</b>.")


def test_lost_placeholders_leave_the_source_and_are_named() -> None:
    text = "Hello {name}, you have %d messages."
    part = translate(Model(*["Hola, usted tiene mensajes."] * TRIES), text)
    assert part.text == text
    assert kinds(part) == [("placeholders", "source")]
    assert "{name}" in part.problems[0].detail


def test_a_doubtful_answer_is_better_than_none() -> None:
    part = translate(Model(SOURCE, "", BadAnswer(UNFINISHED, "broke off")))
    assert kinds(part) == [("echo", "answer")]


def test_a_model_that_never_comes_to_an_end_is_for_the_queue_to_try_again() -> None:
    with pytest.raises(BadAnswer):
        translate(Model(*[BadAnswer(UNFINISHED, "broke off")] * TRIES))


@pytest.mark.parametrize("error", [OllamaError("away"), Cut()])
def test_a_model_that_is_away_is_not_asked_again_here(error: Exception) -> None:
    model = Model(error)
    with pytest.raises(type(error)):
        translate(model)
    assert len(model.asked) == 1


@pytest.mark.parametrize("text", ["{name}", "https://example.org/a?b=c", "3.14 - 2026", "* * *", "%s: %d", "…"])
def test_what_has_no_words_is_never_asked_for(text: str) -> None:
    assert translate(Model(), text) == Part(text)


def test_the_same_question_is_asked_once() -> None:
    kept, model = Kept(), Model(GOOD)
    assert translate(model, kept=kept) == translate(model, kept=kept) == Part(GOOD)
    assert len(model.asked) == 1


def test_a_kept_answer_serves_other_placeholders_too() -> None:
    kept = Kept()

    class Friendly(Model):
        def chat(self, model: str, messages: list[dict[str, str]], *, call: Call, again: int) -> str:
            self.asked.append((messages, again))
            return messages[-1]["content"].replace("Good morning", "Buenos días")

    model = Friendly()
    translate(model, "Good morning {name}!", kept=kept)
    assert translate(model, "Good morning {user}!", kept=kept) == Part("Buenos días {user}!")
    assert len(model.asked) == 1


def test_a_bad_answer_is_not_kept() -> None:
    kept = Kept()
    translate(Model(*[""] * TRIES), kept=kept)
    assert not kept.answers


def test_another_language_model_or_glossary_is_another_question() -> None:
    kept = Kept()
    for wish in (
        WISH,
        Wish("n", "en", "es", {}, markdown=False),
        Wish("m", "en", "fr", {}, markdown=False),
        Wish("m", "en", "es", {"garden": "huerto"}, markdown=False),
    ):
        model = Model(GOOD)
        translate(model, wish=wish, kept=kept)
        assert len(model.asked) == 1


def test_only_terms_that_occur_are_sent_and_unheeded_ones_are_named() -> None:
    model = Model(GOOD)
    part = translate(model, wish=Wish("m", "en", "es", {"garden": "huerto", "dragon": "dragón"}, markdown=False))

    sent = " ".join(message["content"] for message in model.asked[0][0])
    assert "huerto" in sent
    assert "dragón" not in sent
    assert part.text == GOOD
    assert kinds(part) == [("glossary", "answer")]


def test_a_pause_is_possible_before_every_call() -> None:
    class Pause(Exception):
        pass

    def pause() -> None:
        raise Pause

    model = Model(GOOD)
    with pytest.raises(Pause):
        Translator(model, None).translate(SOURCE, WISH, Call(), before_asking=pause)  # type: ignore[arg-type]
    assert not model.asked
