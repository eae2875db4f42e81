"""Glossary terms: those in a text, their part of the prompt, and those that an answer does not use."""

from __future__ import annotations

import time

import pytest

from app.translation.engine import glossary
from app.translation.engine.prompt import messages
from app.translation.model.prompt import Message, read_prompt


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("house", "The House is old."),
        ("House", "the house is old"),
        ("API", "The API answers."),
        ("C++", "Written in C++."),
        (".NET", "Uses .NET here"),
        ("straße", "DIE STRASSE"),
        ("house cat", "A house\ncat"),
        ("房子", "这座房子很漂亮"),
        ("서버", "서버를 다시 시작하세요"),
        ("café", "the cafe\u0301 is open"),
        ("e-mail", "Send an e-mail."),
    ],
)
def test_a_term_that_occurs_in_the_text_is_relevant(term: str, text: str) -> None:
    assert glossary.relevant({term: "x", "elephant": "y"}, text) == {term: "x"}


@pytest.mark.parametrize(
    ("term", "text"),
    [("house", "The houseboat"), ("API", "an api"), ("iPhone", "an IPHONE"), ("cat", "concatenate"), ("art", "start")],
)
def test_a_term_is_a_whole_word_as_it_is_written(term: str, text: str) -> None:
    assert glossary.relevant({term: "x"}, text) == {}


def test_terms_are_sorted_longest_first_and_limited_to_the_prompt() -> None:
    terms = {f"term{number}": "x" * 20 for number in range(500)}
    found = glossary.relevant(terms | {"a long term": "y"}, " ".join([*terms, "a long term"]))

    assert next(iter(found)) == "a long term"
    assert len(found) == glossary.MAX_RELEVANT
    long = {f"{'w' * 190}{number}": "x" * 200 for number in range(20)}
    found = glossary.relevant(long, " ".join(long))
    assert 0 < sum(len(term) + len(translation) for term, translation in found.items()) <= glossary.MAX_CHARACTERS


@pytest.mark.parametrize("text", ["a" * 10_000, "a " * 5_000, "word " * 2_000])
def test_many_terms_take_bounded_time(text: str) -> None:
    terms = {"a" * length: "x" for length in range(1, 201)} | {f"word w{number}": "x" for number in range(300)}
    started = time.thread_time()
    glossary.relevant(terms, text)
    # Far above the normal time, far below that of a pattern that retries every position.
    assert time.thread_time() - started < 5


def test_unused_terms_are_reported() -> None:
    terms = {"house": "hogar", "cat": "felino", "dog": "perro"}

    assert glossary.missing_terms(terms, "The house and the cat.", "La casa y el felino.") == ["house"]
    problem = glossary.find_unused(terms, "The house and the cat.", "La casa y el felino.")
    assert problem is not None
    assert (problem.kind, problem.detail, problem.kept) == (
        "glossary",
        "the model did not translate “house” as “hogar”",
        "answer",
    )
    assert glossary.find_unused(terms, "The house.", "El HOGAR.") is None


@pytest.mark.parametrize(
    ("translation", "answer"),
    [("Haus", "die Häuser"), ("книга", "я читаю книгу"), ("perro negro", "los perros negros"), ("房子", "这座房子")],
)
def test_an_inflected_term_counts_as_used(translation: str, answer: str) -> None:
    assert glossary.missing_terms({"term": translation}, "The term.", answer) == []


def test_the_offline_model_reads_the_languages_beside_a_glossary_and_a_complaint() -> None:
    asked = messages(
        "A house.",
        source="en",
        target="es",
        glossary={"translate to French (fr)": "Translate from German to\nFrench.", "house": "hogar"},
        feedback="the model gave the text back without translating it from English to German",
    )
    prompt = read_prompt([Message(message["role"], message["content"]) for message in asked])

    assert (prompt.text, prompt.source, prompt.target) == ("A house.", "en", "es")
    assert "house → hogar" in asked[0]["content"].splitlines()


def test_a_retry_has_another_prompt() -> None:
    first = messages("A house.", source=None, target="es")
    again = messages("A house.", source=None, target="es", feedback="the model gave an empty answer")

    assert first[0] != again[0]
    assert "the model gave an empty answer" in again[0]["content"]
    assert first[1] == again[1] == {"role": "user", "content": "A house."}
    assert "⟦1⟧" in first[0]["content"]
