"""The translation's settings: an invalid one is reported in one line."""

from __future__ import annotations

import pytest

from app.translation.settings import TranslationSettings
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError, masked

read = TranslationSettings.read
OLLAMA_URL_ALLOWED = "http://HOST[:PORT] or https://HOST[:PORT] without a path such as /v1 or /api"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OLLAMA_URL", "model:11434", OLLAMA_URL_ALLOWED),
        ("OLLAMA_URL", "http://model:notaport", OLLAMA_URL_ALLOWED),
        ("OLLAMA_URL", "http://[::1", OLLAMA_URL_ALLOWED),
        ("OLLAMA_URL", "http://model:99999", OLLAMA_URL_ALLOWED),
        ("OLLAMA_MODEL", "../x", "a model name as listed by Ollama"),
        ("OLLAMA_URL", "http://", OLLAMA_URL_ALLOWED),
        ("OLLAMA_URL", "http://x:11434/v1", OLLAMA_URL_ALLOWED),
        ("OLLAMA_URL", "http://x:11434/api/", OLLAMA_URL_ALLOWED),
        ("OLLAMA_PATIENCE", "-1", "a whole number from 0 to 604800"),
    ],
)
def test_an_invalid_value_is_reported_in_one_line(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as error:
        read({name: value})
    assert error.value.lines == [f"{name}={value} is invalid: expected {expected}"]


@pytest.mark.parametrize("text", ["0", "65536", "90-80", "80-", "http", "8_0", ","])
def test_invalid_ports_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"CALLBACK_PORTS=.* is invalid: .*ports and port ranges"):
        read({"CALLBACK_PORTS": text})
    assert read({"CALLBACK_PORTS": "80,8000-8002"}).callback_ranges == (range(80, 81), range(8000, 8003))


@pytest.mark.parametrize("url", ["http://me:hunter2@model:11434", "ftp://me:hunter2@model"])
def test_a_password_in_ollamas_url_is_never_shown(url: str) -> None:
    try:
        settings = read({"OLLAMA_URL": url})
    except SettingsError as error:
        assert error.lines[0].startswith("OLLAMA_URL=ftp://******@model is invalid")
    else:
        assert (
            settings.ollama_name
            == masked(TranslationSettings, "ollama_url", settings.ollama_url)
            == "http://******@model:11434"
        )


@pytest.mark.parametrize("secret", ["short", "hunter2 hunter2 hunter2", "whsec_hunter2hunter2", "x" * 257])
def test_an_invalid_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError) as error:
        read({"CALLBACK_SECRET": secret})
    (line,) = error.value.lines
    assert line.startswith("CALLBACK_SECRET=****** is invalid: ")
    assert line.endswith(
        "expected 16 to 256 visible ASCII characters, whsec_ followed by base64, or empty for no callbacks"
    )
    assert "hunter2" not in line


def test_a_call_ends_before_its_message() -> None:
    (line,) = read({"OLLAMA_TIMEOUT": "600"}).conflicts(Settings())
    assert line.startswith("OLLAMA_TIMEOUT=600 is invalid:") and line.endswith(
        "expected less than MESSAGE_TIME_LIMIT=600"
    )
    assert not list(read({"OLLAMA_TIMEOUT": "30"}).conflicts(Settings.read({"MESSAGE_TIME_LIMIT": "60"})))
