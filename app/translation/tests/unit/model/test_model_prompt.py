"""What the offline model reads out of a chat: languages and text."""

import pytest

from app.translation.model.errors import ApiError
from app.translation.model.languages import guess
from app.translation.model.prompt import Message, languages_in, read_prompt
from app.translation.model.translator import pair_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("sentence", "languages"),
    [
        ("Translate from English (en) to Spanish (es).", ("en", "es")),
        ("Translate to Spanish (es).", (None, "es")),
        ("You are a translator. Translate from French (fr) to Spanish (es). Keep markup.", ("fr", "es")),
        ("TRANSLATE FROM english TO spanish", ("en", "es")),
        ("Please translate the following text into es", (None, "es")),
        ("Translate English to Spanish", ("en", "es")),
        ("Translate to Spanish from English", ("en", "es")),
        ("Translate from **es** into `fr`", ("es", "fr")),
        ("Translate from Brazilian Portuguese (pt-BR) to Spanish (es)", ("pt", "es")),
        ("Translate from Klingon (tlh) to Spanish (es)", ("tlh", "es")),
        ("Traduce from Español to Français", ("es", "fr")),
        ("Translate it to German", (None, "de")),
        ("Translate from it to es", ("it", "es")),
        ("Apply what you know to it and answer to French people.", (None, None)),
        ("", (None, None)),
    ],
)
def test_languages_are_read_however_they_are_written(sentence: str, languages: tuple[str | None, str | None]) -> None:
    assert languages_in(sentence) == languages


def test_the_users_text_is_taken_to_the_letter_when_the_system_names_the_languages() -> None:
    text = "\n  Translate to French: this is the text itself.\n\n"
    prompt = read_prompt([Message("system", "Translate to Spanish (es)."), Message("user", text)])
    assert (prompt.text, prompt.source, prompt.target) == (text, None, "es")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Translate from English to Spanish: Hello: world", "Hello: world"),
        ("Translate from English to Spanish.\n\nHello: world\n", "Hello: world\n"),
        ("A task for you: translate from English to Spanish:\n\n  Hello", "  Hello"),
    ],
)
def test_an_instruction_in_front_of_the_users_text_is_cut_off(message: str, text: str) -> None:
    prompt = read_prompt([Message("user", message)])
    assert (prompt.text, prompt.source, prompt.target) == (text, "en", "es")


def test_the_last_user_message_counts() -> None:
    chat = [Message("system", "Translate to es."), Message("user", "one"), Message("assistant", "uno")]
    assert read_prompt([*chat, Message("user", "two")]).text == "two"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The house is on the hill and it is old.", "en"),
        ("La casa está en la colina y es muy vieja.", "es"),
        ("La maison est sur la colline et il pleut.", "fr"),
        ("Madrid 42", None),
    ],
)
def test_the_language_of_a_sentence_is_detected(text: str, language: str | None) -> None:
    assert guess(text) == language


def asked_for(text: str, instruction: str) -> tuple[str, str]:
    return pair_for(read_prompt([Message("system", instruction), Message("user", text)]))


def test_an_unknown_source_is_guessed() -> None:
    assert asked_for("La maison est sur la colline et il pleut.", "Translate to Spanish.") == ("fr", "es")


def test_a_text_without_a_hint_is_still_translated() -> None:
    assert asked_for("42", "Translate to Spanish.") == ("en", "es")


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("Translate from English to German.", "asked for en→de"),
        ("Translate from Spanish to Spanish.", "asked for es→es"),
        ("Translate to German.", "asked for en→de"),
        ("Be nice.", "found no target language in the prompt"),
    ],
)
def test_a_pair_that_apertium_lacks_is_refused_by_name(instruction: str, reason: str) -> None:
    with pytest.raises(ApiError) as refused:
        asked_for("The house is on the hill.", instruction)
    assert refused.value.status == 400
    assert refused.value.message == (f"this offline model translates en→es, es→en, fr→es and es→fr only; {reason}")
