"""The language of a text is detected, and an uncertain one is refused."""

# ruff: noqa: RUF001

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.translation import detection
from app.translation.detection import Unsure, detect
from app.translation.languages import LANGUAGES


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Good morning.", "en"),
        ("The house is old and beautiful.", "en"),
        ("THE HOUSE IS OLD AND BEAUTIFUL.", "en"),
        ("La casa es vieja y muy bonita.", "es"),
        ("La maison est vieille et très belle.", "fr"),
        ("Das Haus ist alt und sehr schön.", "de"),
        ("A casa é velha, mas não é muito bonita.", "pt"),
        ("Dom jest stary i bardzo piękny.", "pl"),
        ("Дом старый и очень красивый.", "ru"),
        ("Будинок старий і дуже гарний.", "uk"),
        ("Jeg vet ikke hva dere vil gjøre nå, men jeg synes at vi bør spørre noen før vi kjøper huset.", "nb"),
        ("Huset er gamalt, og eg likar det veldig godt, men vi må ikkje bu der.", "nb"),
        ("Кућа је стара и веома лепа.", "sr"),
        ("Kuća je velika i lijepa.", "hr"),
        ("Kuća je stara, ali nismo htjeli da je prodamo, jer je uvijek bila lijepa.", "hr"),
        ("这座房子又老又漂亮。", "zh"),
        ("這座房子又老又漂亮，我們很喜歡。", "zh"),
        ("家は古くてとても美しいです。", "ja"),
        ("집은 오래되고 매우 아름답습니다.", "ko"),
        ("البيت قديم وجميل جدا.", "ar"),
        ("הבית ישן ויפה מאוד.", "he"),
        ("Το σπίτι είναι παλιό και πολύ όμορφο.", "el"),
        ("घर पुराना और बहुत सुंदर है।", "hi"),
        ("บ้านเก่าและสวยมาก", "th"),
        ("Rumah itu sudah tua, tetapi saya tidak ingin menjualnya karena bagus sekali.", "id"),
    ],
)
def test_the_language_of_a_sentence_is_detected(text: str, code: str) -> None:
    assert detect(text) == code


@pytest.mark.parametrize(
    "text", ["42", "😀", "…", "a b c", "Hello", "Madrid", "Hi.", "ok", "東京都庁舎", "\0", "კარგი"]
)
def test_an_ambiguous_text_is_refused(text: str) -> None:
    with pytest.raises(Unsure, match=r"language.*: give source, such as [a-z]{2}$"):
        detect(text)


def test_an_uncertain_guess_is_suggested() -> None:
    with pytest.raises(Unsure, match=r"\(perhaps German\): give source, such as de"):
        detect("Guten Tag")


@pytest.mark.parametrize(
    "text",
    [
        "Das Haus https://www.example.com/the/house/is/old ist sehr alt.",
        "Das Haus {the_name_of_the_house} ist ⟦12⟧ sehr alt <b>und</b> schön.",
        "```\nfor the_house in all_the_houses: print('the house is old')\n```\nDas Haus ist sehr alt.",
        '{"the title of the page": "Das Haus", "the text of the page": "Es ist alt und sehr schön."}',
        "1\n00:00:01,000 --> 00:00:04,000\nDas Haus ist sehr alt.\n",
    ],
)
def test_only_prose_counts(text: str) -> None:
    assert detect(text) == "de"


def test_the_beginning_of_a_long_text_does_not_decide_alone() -> None:
    licence = "This book may be copied by everybody. " * 15
    assert detect(licence + "Das Haus ist alt und sehr schön. " * 20_000) == "de"


def test_a_long_text_takes_no_longer_than_its_excerpt() -> None:
    detect("The house is old.")
    for text in ("The house is old. " * 55_000, "x" * 1_000_000, "<" * 1_000_000, '"' * 1_000_000, "a@" * 500_000):
        started = time.perf_counter()
        with suppress(Unsure):
            detect(text)
        assert time.perf_counter() - started < 0.5


@pytest.fixture
def fresh_model() -> Iterator[None]:
    detection._model.cache_clear()
    yield
    detection._model.cache_clear()


def test_nothing_is_downloaded(fresh_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert detect("The house is old and beautiful.") == "en"


def test_threads_can_detect_concurrently_from_the_first_call_on(fresh_model: None) -> None:
    texts = {"The house is old and beautiful.": "en", "Das Haus ist alt und sehr schön.": "de"}
    asked = list(texts) * 100
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(detect, asked)) == [texts[text] for text in asked]


def test_only_supported_languages_are_detected() -> None:
    assert set(detection._KNOWN_AS.values()) <= set(LANGUAGES)
    assert set(detection._likelihoods("The house is old.")) <= set(LANGUAGES)
