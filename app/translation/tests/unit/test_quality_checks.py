"""Commentary is removed from an answer, and its problems are reported."""

from __future__ import annotations

import time

import pytest

from app.translation.engine.quality_checks import find_problem, strip_commentary

HOUSE = "The house is beautiful and old."
CASA = "La casa es bella y antigua."


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        (HOUSE, f"  {CASA}\n", CASA),
        (HOUSE, f"<think>\nSpanish, then.\n</think>\n\n{CASA}", CASA),
        (HOUSE, f"Spanish, then.\n</think>\n\n{CASA}", CASA),
        (HOUSE, f"/no_think {CASA}", CASA),
        (HOUSE, f"{CASA} /no_think", CASA),
        (HOUSE, f'"{CASA}"', CASA),
        (HOUSE, f"«{CASA}»", CASA),
        (HOUSE, f"„{CASA}“", CASA),
        (HOUSE, "「家は美しい。」", "家は美しい。"),
        (HOUSE, f"```\n{CASA}\n```", CASA),
        (HOUSE, f"```text\n{CASA}\n```", CASA),
        (HOUSE, f"Here is the translation:\n\n{CASA}", CASA),
        (HOUSE, f'Sure! Here is the translation:\n\n"{CASA}"', CASA),
        (HOUSE, f"Here you go:\n{CASA}", CASA),
        (HOUSE, f"**Translation:** {CASA}", CASA),
        (HOUSE, f"**Translation:**\n\n{CASA}", CASA),
        (HOUSE, f"The Spanish translation is: {CASA}", CASA),
        (HOUSE, f"Aquí está la traducción:\n{CASA}", CASA),
        (HOUSE, "以下是翻译:\n房子很漂亮", "房子很漂亮"),
        (HOUSE, f"{CASA}\n\nNote: I kept the order of the words.", CASA),
        (HOUSE, f"{CASA}\n\n**Note:** the order is kept.\n- and so on", CASA),
        (HOUSE, f"{CASA} (Note: the order of the words is kept.)", CASA),
        (HOUSE, f"{CASA}\n\n(Nota: se mantiene el orden.)", CASA),
    ],
)
def test_commentary_around_a_translation_is_removed(source: str, answer: str, expected: str) -> None:
    assert strip_commentary(source, answer) == expected
    assert find_problem(source, expected, target="es") is None


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ('"The house is old."', '"La casa es antigua."'),
        ("The dogs'", "'Los perros'"),
        ("A “house” and a “cat”", "“Casa” y “gato”"),
        ("Use ```x``` here", "```\nuse x\n```"),
        ("In short: the house is old.", "En resumen: la casa es antigua."),
        ("This is the translation: word for word.", "Esta es la traducción: palabra por palabra."),
        ("Ingredients\n2 eggs", "Ingredientes:\n2 huevos"),
        ("It is old.\nNB: and big.", "Es antigua.\nNota: y grande."),
        ("The house (note: old)", "La casa (nota: antigua)"),
        ("Explain <think>this</think> tag", "Explica la etiqueta <think>esto</think>"),
        ("Use /no_think", "Usa /no_think"),
        ("Time: 10:30", "Hora: 10:30"),
        ("At 10:30 it begins.", "A las 10:30 empieza."),
    ],
)
def test_text_that_the_source_has_too_is_not_removed(source: str, answer: str) -> None:
    assert strip_commentary(source, answer) == answer
    assert find_problem(source, answer, target="es") is None


LONG = "The red house is very beautiful today, and we have two cats and a small garden with many flowers."
LARGA = "La casa roja es muy bella hoy, y tenemos dos gatos y un jardín pequeño con muchas flores."


@pytest.mark.parametrize(
    ("source", "answer", "kind", "kept"),
    [
        (HOUSE, "", "empty", "source"),
        (HOUSE, "…", "empty", "source"),
        (HOUSE, HOUSE, "echo", "answer"),
        (HOUSE, "  the house is BEAUTIFUL, and old", "echo", "answer"),
        (
            "彼は昨日、本を読みながら音楽を聞いていました。",
            "彼は昨日、本を読みながら音楽を聞いていました。",
            "echo",
            "answer",
        ),
        (LONG, "La casa.", "length", "source"),
        (LONG, " ".join(f"{LARGA} {number} {chr(97 + number) * 9}" for number in range(4)), "length", "source"),
        ("这座红色的房子今天非常漂亮,我们有两只猫和一个有很多花的小花园。", "House.", "length", "source"),
        (LONG, f"{LARGA} " + "y muchas flores " * 30, "loop", "source"),
        (LONG, "flores" * 100, "loop", "source"),
        (LONG, "房子很漂亮" * 12, "loop", "source"),
        (LONG, "\n".join([LARGA] * 5), "loop", "source"),
        (LONG, f"Sure! {LARGA}", "preamble", "answer"),
        (LONG, "I'm sorry, but I cannot translate this text into another language.", "preamble", "answer"),
        (LONG, f"{LARGA}\nY más.\nNote: the order of the words is kept.", "preamble", "answer"),
    ],
)
def test_an_answer_that_is_not_a_translation_is_reported(source: str, answer: str, kind: str, kept: str) -> None:
    problem = find_problem(source, strip_commentary(source, answer), target="es")
    assert problem is not None
    assert (problem.kind, problem.kept) == (kind, kept)


@pytest.mark.parametrize(
    ("source", "answer", "target"),
    [
        ("OK", "OK", "es"),
        ("John Smith", "John Smith", "es"),
        ("Ursula von der Leyen", "Ursula von der Leyen", "fr"),
        ("Universal Serial Bus Controller", "Universal Serial Bus Controller", "de"),
        ("12 345,67 € 8", "12 345,67 € 8", "fr"),
        ("https://example.org/a b@example.org {name} %s", "https://example.org/a b@example.org {name} %s", "es"),
        ("⟦1⟧ ⟦2⟧ ⟦3⟧", "⟦1⟧ ⟦2⟧ ⟦3⟧", "es"),
        ("東京大学", "東京大学", "ja"),
        ("Han er i Oslo i dag.", "Han er i Oslo i dag.", "nb"),
        ("😀 !!!", "😀 !!!", "es"),
        ("Yes.", "Ja, natürlich, das ist selbstverständlich so.", "de"),
        (" ", "", "es"),
        ("OFF", "○", "ga"),
        ("Internationalisation", "i18n", "de"),
        ("The red house is very beautiful today, and we have two cats.", "红房子今天很漂亮,我们有两只猫。", "zh"),
        ("红房子今天很漂亮,我们有两只猫。", "The red house is very beautiful today, and we have two cats.", "en"),
        ("빨간 집은 오늘 매우 아름답습니다.", "The red house is very beautiful today.", "en"),
        ("Das ist gut.", "Das är gut.", "sv"),
        ("No, no, no, no!", "¡No, no, no, no!", "es"),
        ("ha " * 60, "ja " * 60, "es"),
        ("File not found. " * 9, "Fichero no encontrado. " * 9, "es"),
        ("Contents ......... 5\nIndex ........... 9", "Contenido ......... 5\nÍndice ........... 9", "es"),
        ("1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 9", "es"),
        ("Sure! I will come.", "Sure! Voy.", "es"),
        ("Voici le menu\nLundi, soupe", "Here is the menu:\nMonday, soup", "en"),
        ("Huom: talo on vanha.", "Note: the house is old.", "en"),
        ("Talo on vanha\nHuom: se on punainen.", "The house is old\nNote: it is red.", "en"),
        ("Vielleicht. Es tut mir leid, ich kann nicht.", "I'm sorry, I can't.", "en"),
    ],
)
def test_a_translation_has_no_problem(source: str, answer: str, target: str) -> None:
    assert strip_commentary(source, answer) == answer.strip()
    assert find_problem(source, answer, target=target) is None


WORDS = " ".join(f"word{number % 977}" for number in range(2_000))


@pytest.mark.parametrize(
    "answer",
    [
        "a" * 10_000,
        "ab " * 3_300,
        "x" + " " * 10_000 + "x",
        "(" * 10_000,
        '"' * 10_000,
        "<think>" * 1_500,
        "Note: " * 1_700,
        "Note:\n" * 1_700,
        ":" * 10_000,
        "房" * 10_000,
        "https://" * 1_250,
        "{<" * 5_000,
        "x" + "\n" * 10_000 + "x",
        WORDS,
    ],
    ids=lambda text: repr(text[:10]),
)
def test_no_text_takes_long(answer: str) -> None:
    for source in (LONG, answer):
        started = time.thread_time()
        find_problem(source, strip_commentary(source, answer), target="es")
        # Far above the normal time, far below that of anything quadratic.
        assert time.thread_time() - started < 5
